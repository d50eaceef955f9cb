package cluster

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Program is one process of the cluster, which may be killed and started again. URL may be called from any goroutine, the other
// methods from one at a time.
type Program struct {
	t      testing.TB
	name   string
	binary string
	under  []string
	dir    string
	env    []string

	cmd  *exec.Cmd     // nil: it does not run
	read chan struct{} // closed when it was read where the process listens, or that it does not
	url  atomic.Value

	forgiven int // of the log, from its beginning

	rest   Footprint // at its first rest
	rested int       // the number of the process that was at rest then
}

// Name is what the test calls it.
func (p *Program) Name() string { return p.name }

// Pid is the number of the process that runs, or ran last.
func (p *Program) Pid() int { return p.cmd.Process.Pid }

// URL is where it listens, or listened before it was ended. Each start has a port of its own.
func (p *Program) URL() string {
	url, _ := p.url.Load().(string)
	return url
}

// Start starts the process, with env before its own, and returns when it listens.
func (p *Program) Start(env ...string) {
	p.t.Helper()
	p.await(p.Launch(env...))
}

// await returns when the process that was launched listens.
func (p *Program) await(listens <-chan error) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = p.cmd.Process.Kill() })
	defer stop()
	if err := <-listens; err != nil {
		_ = p.cmd.Wait()
		p.t.Fatalf("%s did not start: %v\n%s", p.name, err, p.Log())
	}
}

// Launch starts the process, with env before its own, and returns at once. The channel tells once that it listens, or why it does not.
func (p *Program) Launch(env ...string) (listens <-chan error) {
	p.t.Helper()
	return p.launch("127.0.0.1:0", env)
}

func (p *Program) launch(addr string, env []string) (listens <-chan error) {
	p.t.Helper()
	cmd := p.Command("serve", "--http.addr", addr, "--log.format", "json")
	cmd.Env = append(cmd.Env, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := os.OpenFile(p.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	cmd.Stderr = log
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.cmd, p.read = cmd, make(chan struct{})
	told, read := make(chan error, 1), p.read
	go func() {
		defer close(read)
		line, err := bufio.NewReader(stdout).ReadString('\n')
		if err == nil {
			_, rest, _ := strings.Cut(line, "http://")
			addr, _, _ := strings.Cut(rest, " ")
			p.url.Store("http://" + addr)
		}
		told <- err
	}()
	return told
}

// Command is another command of the same program, with the same configuration and folder.
func (p *Program) Command(args ...string) *exec.Cmd {
	line := append(append(slices.Clone(p.under), p.binary), args...)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Env = append(append(cleanEnv(), "TMPDIR="+p.temporary()), p.env...)
	cmd.Dir = p.dir
	return cmd
}

// cleanEnv is the environment without what configures a Daybook.
func cleanEnv() (env []string) {
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "DAYBOOK_") {
			env = append(env, e)
		}
	}
	return env
}

// Install has the next start run another build of the program.
func (p *Program) Install(binary string) { p.binary = binary }

// Kill ends the process with SIGKILL and returns when it is gone.
func (p *Program) Kill() {
	p.t.Helper()
	p.Signal(syscall.SIGKILL)
	_ = p.cmd.Wait() // it was killed: that is its error
	<-p.read         // else its URL might come to light behind that of the next one
}

// Replace starts the next process on the address of this one, which is killed with SIGKILL only when the next one has had the time to
// ask for what this one holds. It returns when the next one listens.
func (p *Program) Replace() {
	p.t.Helper()
	killed := p.cmd
	listens := p.launch(strings.TrimPrefix(p.URL(), "http://"), nil)
	Pass(p.t.Context(), 300*time.Millisecond)
	_ = killed.Process.Kill()
	_ = killed.Wait() // it was killed: that is its error
	p.await(listens)
}

// Stop ends the process as a supervisor does, and returns when it is gone. Anything but an orderly end fails the test.
func (p *Program) Stop() {
	p.t.Helper()
	p.Signal(syscall.SIGTERM)
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("%s was stopped and ended with %v\n%s", p.name, err, p.Log())
	}
}

// Ended waits for a process that was told to end, or cannot go on, and gives its exit code. When it does not end in the time given,
// the test ends.
func (p *Program) Ended(limit time.Duration) int {
	p.t.Helper()
	late := time.AfterFunc(limit, func() { _ = p.cmd.Process.Kill() })
	_ = p.cmd.Wait() // its code is what is asked for
	if !late.Stop() {
		p.t.Fatalf("%s did not end within %v\n%s", p.name, limit, p.Log())
	}
	return p.cmd.ProcessState.ExitCode()
}

// Signal sends the process a signal.
func (p *Program) Signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}

func (p *Program) logFile() string { return filepath.Join(p.dir, "log") }

// Log is the end of what all lives of the process have logged.
func (p *Program) Log() string {
	text := p.wholeLog()
	const enough = 6000
	return text[max(0, len(text)-enough):]
}

// Forgive gives what was logged so far, which may hold what must never be in a log else: the process was made to crash.
func (p *Program) Forgive() string {
	text := p.wholeLog()
	p.forgiven = len(text)
	return text
}

func (p *Program) wholeLog() string {
	text, err := os.ReadFile(p.logFile())
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// end ends the process after the test, checks that nothing is in its log that must never be there, and shows the log if the test
// failed.
func (p *Program) end() {
	if p.cmd == nil {
		return
	}
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
	text := p.wholeLog()[p.forgiven:]
	for _, never := range []string{"DATA RACE", "panic", "goroutine ", "daybook:daybook"} {
		if at := strings.Index(text, never); at >= 0 {
			p.t.Errorf("the log of %s holds %q:\n%.3000s", p.name, never, text[at:])
		}
	}
	if p.t.Failed() {
		p.t.Logf("the end of the log of %s (%s):\n%s", p.name, p.URL(), p.Log())
	}
}
