package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"daybook/app"
	"daybook/test/cluster"
	"daybook/test/faultbuild"
)

// aftermath is what must hold at once when the program has died at a point and runs again.
func (l *life) aftermath(p faultbuild.Point) {
	l.t.Helper()
	if p.Scene != faultbuild.Backup {
		return
	}
	dir := filepath.Join(l.backups, p.Name)
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		l.t.Errorf("half a backup has the name of a whole one: %v", err)
	}
	l.made = 0
	if _, err := l.backUp(dir); err == nil || !strings.Contains(err.Error(), "remove it") && !strings.Contains(err.Error(), "name a directory") {
		l.t.Errorf("with what is left of a backup in its way another one is answered %v", err)
	}
	for _, left := range []string{dir + ".unfinished", dir + app.AccessSuffix, dir + app.AccessSuffix + ".unfinished"} {
		if err := os.RemoveAll(left); err != nil {
			l.t.Error(err)
		}
	}
	if text, err := l.backUp(dir); err != nil {
		l.t.Errorf("when what was left is removed, a backup is answered %s, %v", text, err)
	}
	restored := filepath.Join(l.t.TempDir(), "restored")
	if out, err := l.program.Command("restore", dir, "--store.pebble.path", restored).CombinedOutput(); err != nil {
		l.t.Errorf("the backup cannot be restored: %v\n%s", err, out)
		return
	}
	cluster.CheckVerified(l.t, l.program, "--store.pebble.path", restored)
}

func (l *life) backUp(dir string) (string, error) {
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.program.URL()+"/v1/admin/backup?dir="+dir, http.NoBody)
	if err != nil {
		return "", err
	}
	return ask(req)
}

// dieRestoring lets the command that restores a backup die at a point, while the program is stopped.
func (l *life) dieRestoring(p faultbuild.Point) {
	l.t.Helper()
	backup, restored := filepath.Join(l.backups, "whole"), filepath.Join(l.t.TempDir(), "restored")
	if text, err := l.backUp(backup); err != nil {
		l.t.Fatalf("a backup is answered %s, %v", text, err)
	}
	l.program.Stop()
	command := func(args ...string) *exec.Cmd {
		return l.program.Command(append(args, "--store.pebble.path", restored)...)
	}
	dies := command("restore", backup)
	dies.Env = append(dies.Env, l.armed(p.Name, 0)...)
	if err := dies.Start(); err != nil {
		l.t.Fatal(err)
	}
	cluster.Within(l.t, patience, p.Name+" is reached", func(ctx context.Context) error { return l.stopped(ctx, p.Name, 0) })
	_ = dies.Process.Kill()
	_ = dies.Wait() // it was killed: that is its error
	if out, err := command("verify").CombinedOutput(); err == nil || !strings.Contains(string(out), "holds no Daybook store") {
		l.t.Errorf("half a restored store is taken for one: %v\n%s", err, out)
	}
	if err := os.RemoveAll(restored); err != nil {
		l.t.Fatal(err)
	}
	if out, err := command("restore", backup).CombinedOutput(); err != nil {
		l.t.Errorf("it cannot be restored again: %v\n%s", err, out)
	}
	cluster.CheckVerified(l.t, l.program, "--store.pebble.path", restored)
	l.start()
}

// judge ends the load and holds everything against everything.
func (l *life) judge() {
	l.t.Helper()
	cluster.Within(l.t, patience, "the program is ready", func(ctx context.Context) error {
		return cluster.Get(ctx, l.program.URL()+"/readyz", nil)
	})
	l.load.Await(l.t, 20, patience)
	l.load.Stop()
	var byMessage map[string]cluster.Final
	if l.sender != nil {
		byMessage = l.sender.Answers(l.sent)
	}
	books := l.cluster.Check(l.load, byMessage, patience, l.program.URL())
	l.feed.Check(l.t, books, patience)
	if l.listener != nil {
		l.listener.Check(l.t, books, patience)
	}
	l.nothingIsLeft()
	cluster.CheckRebuilt(l.t, l.program.URL(), patience)
	l.program.Stop()
	cluster.CheckVerified(l.t, l.program)
}

// nothingIsLeft checks that what dead processes have left is removed: views that are not used any more, and files of the archive that
// its manifest does not know of, which go with the next archival.
func (l *life) nothingIsLeft() {
	l.t.Helper()
	if l.indices != "" {
		cluster.Within(l.t, patience, "the views that were replaced are removed", func(ctx context.Context) error {
			var there []struct{ Index string }
			if err := cluster.Get(ctx, l.indices, &there); err != nil || len(there) != 1 {
				return fmt.Errorf("there are %v (%w)", there, err)
			}
			return nil
		})
	}
	cluster.Within(l.t, patience, "what an archival has left is removed", func(context.Context) error {
		left, err := l.leftInArchive()
		if err == nil && len(left) > 0 {
			l.operate("archive?before=2100-01-01T00:00:00Z")
			l.asking.Wait()
			err = fmt.Errorf("there are %v", left)
		}
		return err
	})
}

// leftInArchive are the files that the manifest does not name.
func (l *life) leftInArchive() (left []string, err error) {
	var manifest struct{ Segments []struct{ Name string } }
	text, err := os.ReadFile(filepath.Join(l.archive, "manifest.json"))
	if err == nil {
		err = json.Unmarshal(text, &manifest)
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return nil, err
	}
	known := map[string]bool{"manifest.json": true}
	for _, s := range manifest.Segments {
		known[s.Name] = true
	}
	err = filepath.WalkDir(l.archive, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		short, err := filepath.Rel(l.archive, name)
		if !known[filepath.ToSlash(short)] {
			left = append(left, short)
		}
		return err
	})
	return left, err
}
