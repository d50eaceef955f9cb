package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"daybook/core/engine"
)

// resumeForm is the one line of the file of --resume: the tree over what was verified, and a sum over it.
const resumeForm = "daybook verified %s %s\n"

// readResume takes up what was noted before.
func (v *verification) readResume(run *engine.Verification) error {
	if v.resume == "" {
		return nil
	}
	text, err := os.ReadFile(v.resume)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var tree, sum string
	if err == nil {
		_, err = fmt.Sscanf(string(text), resumeForm, &tree, &sum)
	}
	state, _ := hex.DecodeString(tree)
	if err != nil || sum != resumeSum(state) || run.Verified.UnmarshalBinary(state) != nil {
		return usageError{fmt.Errorf("the file %s does not say what was verified; remove it to check everything again", v.resume)}
	}
	return nil
}

// writeResume notes what was verified, whole or not at all.
func (v *verification) writeResume(run *engine.Verification) error {
	if v.resume == "" {
		return nil
	}
	state, err := run.Verified.AppendBinary(nil)
	if err != nil {
		return err
	}
	text := fmt.Sprintf(resumeForm, hex.EncodeToString(state), resumeSum(state))
	if err := os.WriteFile(v.resume+".new", []byte(text), 0o600); err != nil {
		return fmt.Errorf("what was verified cannot be noted: %w", err)
	}
	if err := os.Rename(v.resume+".new", v.resume); err != nil {
		return fmt.Errorf("what was verified cannot be noted: %w", err)
	}
	return nil
}

func resumeSum(state []byte) string {
	sum := sha256.Sum256(append([]byte("daybook verified "), state...))
	return strings.ToLower(hex.EncodeToString(sum[:8]))
}
