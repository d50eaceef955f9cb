package machine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"daybook/test/cluster"
	"daybook/test/faulttable"
	"daybook/test/smalldisk"
)

func TestOnAFullDiskCommandsAreRefusedReadsGoOnAndAllIsWellWhenThereIsRoom(t *testing.T) {
	t.Parallel()
	faulttable.Covers(t, "F14", faulttable.Embedded, again())
	d := smalldisk.Mount(t, 64)
	w := start(t, place{dir: d.Dir})
	makeRoom := d.Fill(4 << 20)
	w.refused("store_full")
	w.readable()
	if !strings.Contains(w.program.Log(), "80 % used") {
		t.Errorf("nobody was warned:\n%s", w.program.Log())
	}
	makeRoom()
	w.load.Await(t, 50, patience)

	makeRoom = d.Fill(0) // to the last byte, in the middle of a write perhaps, which then must not go on
	w.refused("store_full", "store_unavailable")
	w.readable()
	makeRoom()
	if w.ready(t.Context()) != nil {
		t.Log("a write failed, and the program was started again")
		w.program.Stop()
		w.program.Start()
	}
	w.settle()
}

// tracer is strace on a running process.
type tracer struct {
	t   *testing.T
	cmd *exec.Cmd
}

// failing has each call of the kinds fail that a process makes, until it is let go. That needs strace and the right to use it; without
// them the test is skipped.
func failing(t *testing.T, pid int, calls, with string) *tracer {
	t.Helper()
	path, err := exec.Command("../../scripts/strace").Output()
	if err != nil {
		t.Skipf("SKIPPED: there is no strace: %v", err)
	}
	cmd := exec.Command(strings.TrimSpace(string(path)), "-f", "-p", fmt.Sprint(pid), "-o", "/dev/null", "-e", "trace="+calls, "-e", "inject="+calls+":"+with)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	words, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(words)
	line, _ := lines.ReadString('\n')
	if !strings.Contains(line, "attached") {
		_ = cmd.Wait()
		t.Skipf("SKIPPED: strace may not look at the process: %s", line)
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }() // it tells of each thread
	return &tracer{t, cmd}
}

// letGo lets calls succeed again.
func (s *tracer) letGo() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	_ = s.cmd.Wait() // its end by the signal is its error
}

func TestASyncThatFailsEndsCommandsUntilARestartAndNothingAcknowledgedIsLost(t *testing.T) {
	t.Parallel()
	faulttable.Covers(t, "F15", faulttable.Embedded, again())
	w := start(t, place{})
	told, tries := 0, 4 // a commit of refusals alone leaves nobody in doubt
	for ; told == 0 && tries > 0; tries-- {
		w.load.Mark()
		disk := failing(t, w.program.Pid(), "fsync,fdatasync", "error=EIO")
		cluster.Within(t, patience, "readiness ends", func(ctx context.Context) error {
			if err := w.ready(ctx); err == nil {
				return errors.New("it is ready")
			}
			return nil
		})
		w.refused("store_unavailable")
		disk.letGo() // the disk is well again, and what was lost stays lost
		w.refused("store_unavailable")
		w.readable()
		told = w.load.Spell().Kinds["503 outcome_unknown"]
		w.program.Stop()
		w.program.Start()
		w.load.Await(t, 50, patience)
	}
	if told == 0 {
		t.Error("those whose sync failed were not told so")
	}
	w.settle()
}
