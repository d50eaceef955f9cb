package pebblestore

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"

	"daybook/core/es"
	"daybook/core/ports"
)

// manifestFile says what a backup holds. It is written last.
const manifestFile = "BACKUP.json"

// manifest is what is in it.
type manifest struct {
	Position es.Position       `json:"position"`
	Root     string            `json:"root"`
	Files    map[string]string `json:"files"` // SHA-256 of each
}

// Backup implements ports.BackupStore. It is made under another name, opened and looked through, and then renamed.
func (s *Store) Backup(ctx context.Context, dir string) (b ports.Backup, err error) {
	if err := s.enter(ctx); err != nil {
		return b, err
	}
	defer s.leave()
	if err := s.stop.failure(); err != nil {
		return b, s.failed(err)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
		return b, ports.ErrBackupRefused.Say("There is a %s already, or it cannot be looked at; name a directory that does not exist yet.", dir).Because(err)
	}
	unfinished := filepath.Clean(dir) + ".unfinished"
	if err := os.Mkdir(unfinished, 0o700); err != nil {
		return b, ports.ErrBackupRefused.Say("The directory %s cannot be made; if it is left from a backup that was stopped, remove it.", unfinished).Because(err)
	}
	defer func() { _ = os.RemoveAll(unfinished) }() // its copy has moved away when all went well
	copied := filepath.Join(unfinished, "copy")
	if b, err = s.copyTo(copied); err == nil {
		// gofail: var midBackup struct{}
		err = finish(copied, dir, b)
	}
	if err != nil {
		return b, ports.ErrBackupRefused.Say("The backup to %s failed, and nothing is left of it.", dir).Because(err)
	}
	return b, nil
}

// copyTo makes a copy that is a store of its own, and opens it to see what it holds.
func (s *Store) copyTo(dir string) (b ports.Backup, err error) {
	if err := s.stop.guard(func() error { return s.db.Checkpoint(dir, pebble.WithFlushedWAL()) }); err != nil {
		return b, err
	}
	marked := format
	if s.forgetful.Load() {
		marked = formatArchived
	}
	if err := os.WriteFile(filepath.Join(dir, markFile), fmt.Appendf(nil, markText, marked), 0o600); err != nil {
		return b, err
	}
	return look(dir)
}

// look opens a store for a moment and gives what it holds.
func look(dir string) (b ports.Backup, err error) {
	s, err := Open(Options{Dir: dir})
	if err != nil {
		return b, err
	}
	tree := s.tree.Load()
	return ports.Backup{Position: tree.Size, Root: tree.Root()}, s.Close()
}

// finish adds the manifest and gives the backup its name.
func finish(copied, dir string, b ports.Backup) error {
	m := manifest{b.Position, b.Root.String(), map[string]string{}}
	entries, err := os.ReadDir(copied)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if !e.Type().IsRegular() || name == "LOCK" {
			continue
		}
		if m.Files[name], err = transfer(filepath.Join(copied, name), ""); err != nil {
			return err
		}
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(copied, manifestFile), append(text, '\n'), 0o600); err != nil {
		return err
	}
	if err := errors.Join(syncPath(filepath.Join(copied, manifestFile)), syncPath(filepath.Join(copied, markFile)), syncPath(copied)); err != nil {
		return err
	}
	// gofail: var beforeBackupRename struct{}
	if err := os.Rename(copied, dir); err != nil {
		return err
	}
	return syncPath(filepath.Dir(filepath.Clean(dir)))
}

func syncPath(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// transfer gives the hash of a file, and copies it durably when to is not empty.
func transfer(from, to string) (sum string, err error) {
	in, err := os.Open(from)
	if err != nil {
		return "", err
	}
	defer in.Close()
	hash := sha256.New()
	if to == "" {
		_, err = io.Copy(hash, in)
	} else {
		var out *os.File
		if out, err = os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err != nil {
			return "", err
		}
		_, err = io.Copy(io.MultiWriter(hash, out), in)
		err = errors.Join(err, out.Sync(), out.Close())
	}
	return fmt.Sprintf("%x", hash.Sum(nil)), err
}

// Restore makes a store out of a backup, in a directory that is empty or does not exist, and gives what it holds. Until all of
// it is there and was compared with the manifest, the directory does not count as a store.
func Restore(backup, dir string) (b ports.Backup, err error) {
	text, err := os.ReadFile(filepath.Join(backup, manifestFile))
	var m manifest
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		return b, ports.ErrBackupRefused.Say("The directory %s holds no whole backup: its file %s cannot be read. Nothing was done.", backup, manifestFile).Because(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return b, ports.ErrBackupRefused.Say("The directory %s cannot be made.", dir).Because(err)
	}
	if there, err := os.ReadDir(dir); err != nil || len(there) > 0 {
		return b, ports.ErrBackupRefused.Say("The directory %s is not empty; a backup is restored into an empty place. Nothing was done.", dir).Because(err)
	}
	mark, marked := m.Files[markFile]
	delete(m.Files, markFile)
	for name, want := range m.Files {
		if err := restoreFile(backup, dir, name, want); err != nil {
			return b, err
		}
	}
	if !marked {
		return b, errDamaged.Say("The backup in %s does not say that it is a store.", backup)
	}
	// gofail: var midRestore struct{}
	if err := restoreFile(backup, dir, markFile, mark); err != nil { // from here on it counts as a store
		return b, err
	}
	if b, err = look(dir); err != nil {
		return b, err
	}
	if b.Position != m.Position || b.Root.String() != m.Root {
		return b, errDamaged.Say("The store restored into %s ends at position %d with the hash %s, and the backup at %d with %s.", dir, b.Position, b.Root, m.Position, m.Root)
	}
	return b, syncPath(dir)
}

func restoreFile(backup, dir, name, want string) error {
	if filepath.Base(name) != name {
		return errDamaged.Say("The backup in %s names the file %q, which is none of a store.", backup, name)
	}
	sum, err := transfer(filepath.Join(backup, name), filepath.Join(dir, name))
	if err != nil {
		return ports.ErrBackupRefused.Say("The file %s of the backup in %s could not be copied to %s. Empty that, and restore again.", name, backup, dir).Because(err)
	}
	if sum != want {
		return errDamaged.Say("The backup in %s is damaged: its file %s is not as it was written.", backup, name)
	}
	return nil
}
