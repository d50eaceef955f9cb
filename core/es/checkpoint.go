package es

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Checkpoint says what a store held at a moment: how many events, and the root over all of their hashes. Whoever keeps one
// elsewhere can tell later whether anything up to there was changed, taken out or put in.
type Checkpoint struct {
	Origin string // names the ledger
	Size   Position
	Root   Hash
	At     time.Time // when it was made, UTC, microseconds
}

// checkpointTime begins the line of a checkpoint that says when it was made.
const checkpointTime = "time "

// Text is the checkpoint as it is signed: the body of a checkpoint as transparency logs write it (C2SP tlog-checkpoint), with
// one extension line, the time.
func (c *Checkpoint) Text() string {
	return fmt.Sprintf("%s\n%d\n%s\n%s%s\n", c.Origin, c.Size, base64.StdEncoding.EncodeToString(c.Root[:]), checkpointTime, AppendTime(nil, c.At))
}

// ParseCheckpoint reads what Text writes, and no other form.
func ParseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 5 {
		return Checkpoint{}, fmt.Errorf("es: a checkpoint has 4 lines, this has %d", len(lines)-1)
	}
	c := Checkpoint{Origin: lines[0]}
	size, sizeErr := strconv.ParseUint(lines[1], 10, 63)
	root, rootErr := base64.StdEncoding.DecodeString(lines[2])
	at, isTime := strings.CutPrefix(lines[3], checkpointTime)
	if sizeErr != nil || rootErr != nil || len(root) != len(c.Root) || !isTime {
		return Checkpoint{}, fmt.Errorf("es: these lines are not a checkpoint: %q", text)
	}
	c.Size, c.Root = Position(size), Hash(root)
	var ok bool
	if c.At, ok = parseTime([]byte(at)); !ok || c.Text() != text {
		return Checkpoint{}, fmt.Errorf("es: these lines are not a checkpoint: %q", text)
	}
	return c, nil
}
