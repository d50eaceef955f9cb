// Package notary signs checkpoints, checks signatures, and keeps the key and a log of what was signed in a directory that belongs
// elsewhere than the store: on another disk, better on another machine. Notes are those of C2SP signed-note, which other tools
// read as well; the key is Ed25519. What a checkpoint says is not its business.
package notary

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// KeyFile holds the private key; whoever has it can sign.
const KeyFile = "key"

// The other files of a notary's directory.
const (
	publicFile = "key.pub"     // what checks signatures
	logFile    = "checkpoints" // every checkpoint that was kept, the oldest first; those of another ledger with its name behind
)

// Notary is a ports.Notary. All methods may be called concurrently, Keep by one process at a time.
type Notary struct {
	dir    string // "" for a key that dies with the process
	signer note.Signer
	public string
}

// New gives a notary whose key dies with the process.
func New(origin string) (*Notary, error) {
	private, public, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		return nil, fmt.Errorf("a key for %q cannot be made: %w", origin, err)
	}
	signer, err := note.NewSigner(private)
	return &Notary{signer: signer, public: public}, err
}

// Open gives the notary of a directory, and makes directory and key if there are none.
func Open(dir, origin string) (*Notary, error) {
	private, err := os.ReadFile(filepath.Join(dir, KeyFile))
	if errors.Is(err, fs.ErrNotExist) {
		return create(dir, origin)
	}
	if err != nil {
		return nil, fmt.Errorf("the key that signs checkpoints cannot be read: %w", err)
	}
	public, err := os.ReadFile(filepath.Join(dir, publicFile))
	if err != nil {
		return nil, fmt.Errorf("the public part of the key that signs checkpoints cannot be read: %w", err)
	}
	signer, err := note.NewSigner(strings.TrimSpace(string(private)))
	if err != nil {
		return nil, fmt.Errorf("the file %s holds no key that signs checkpoints", filepath.Join(dir, KeyFile))
	}
	return &Notary{dir: dir, signer: signer, public: strings.TrimSpace(string(public))}, nil
}

// create writes the public part first: a key that is there has both.
func create(dir, origin string) (*Notary, error) {
	private, public, err := note.GenerateKey(rand.Reader, origin)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, publicFile), []byte(public+"\n"), 0o644) //nolint:gosec // it is public
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, KeyFile), []byte(private+"\n"), 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("the key that signs checkpoints cannot be made: %w", err)
	}
	signer, err := note.NewSigner(private)
	return &Notary{dir: dir, signer: signer, public: public}, err
}

// Origin implements ports.Notary.
func (n *Notary) Origin() string { return n.signer.Name() }

// Public is what checks this notary's signatures.
func (n *Notary) Public() string { return n.public }

// Sign implements ports.Notary.
func (n *Notary) Sign(text string) (string, error) {
	signed, err := note.Sign(&note.Note{Text: text}, n.signer)
	return string(signed), err
}

// Keep appends a note to the log of a ledger: "" is that of accounts. A notary without a directory keeps none.
func (n *Notary) Keep(ledger, signed string) error {
	if n.dir == "" {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(n.dir, logFile+ledger), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(signed + "\n")
	return errors.Join(err, f.Sync(), f.Close())
}

// Kept gives the notes in the log of a ledger in a directory and the key that checks them; nothing, if there is no such directory.
func Kept(dir, ledger string) (notes []string, public string, err error) {
	key, err := os.ReadFile(filepath.Join(dir, publicFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	log, err := os.ReadFile(filepath.Join(dir, logFile+ledger))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, "", err
	}
	return Split(string(log)), strings.TrimSpace(string(key)), nil
}

// signature begins the lines of a note that are signatures.
const signature = "— "

// Split takes apart notes that were written one after the other. One that was cut off at the end, as by a crash, is left out.
func Split(text string) []string {
	var notes []string
	var now strings.Builder
	signed := false
	flush := func() {
		if signed {
			notes = append(notes, now.String())
		}
		now.Reset()
		signed = false
	}
	for line := range strings.Lines(text) {
		isSignature := strings.HasPrefix(line, signature)
		if signed && !isSignature {
			flush()
			if line == "\n" {
				continue
			}
		}
		signed = signed || isSignature && strings.HasSuffix(line, "\n")
		now.WriteString(line)
	}
	flush()
	return notes
}

// Check gives the text of a note that the key has signed.
func Check(signed, public string) (text string, err error) {
	verifier, err := note.NewVerifier(public)
	if err != nil {
		return "", fmt.Errorf("%q is not a key that checks checkpoints", public)
	}
	opened, err := note.Open([]byte(signed), note.VerifierList(verifier))
	if err != nil {
		return "", fmt.Errorf("the checkpoint is not signed by %s: %w", verifier.Name(), err)
	}
	return opened.Text, nil
}

// Text gives the text of a note without looking at who signed it.
func Text(signed string) (string, error) {
	opened, err := note.Open([]byte(signed), note.VerifierList())
	var unverified *note.UnverifiedNoteError
	if errors.As(err, &unverified) {
		return unverified.Note.Text, nil
	}
	if err != nil {
		return "", fmt.Errorf("these lines are not a signed note: %w", err)
	}
	return opened.Text, nil
}
