package cluster

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
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
	dir    string
	env    []string

	cmd *exec.Cmd // nil: it does not run
	url atomic.Value
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

// Start starts the process and returns when it listens.
func (p *Program) Start() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := p.Command("serve", "--http.addr", "127.0.0.1:0", "--log.format", "json")
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
	p.cmd = cmd
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		_ = cmd.Wait()
		p.t.Fatalf("%s did not start: %v\n%s", p.name, err, p.Log())
	}
	_, rest, _ := strings.Cut(line, "http://")
	addr, _, _ := strings.Cut(rest, " ")
	p.url.Store("http://" + addr)
}

// Command is another command of the same program, with the same configuration and folder.
func (p *Program) Command(args ...string) *exec.Cmd {
	cmd := exec.Command(p.binary, args...)
	cmd.Env = append(cleanEnv(), p.env...)
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

// Kill ends the process with SIGKILL and returns when it is gone.
func (p *Program) Kill() {
	p.t.Helper()
	p.Signal(syscall.SIGKILL)
	_ = p.cmd.Wait() // it was killed: that is its error
}

// Stop ends the process as a supervisor does, and returns when it is gone. Anything but an orderly end fails the test.
func (p *Program) Stop() {
	p.t.Helper()
	p.Signal(syscall.SIGTERM)
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("%s was stopped and ended with %v\n%s", p.name, err, p.Log())
	}
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
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
	text := p.wholeLog()
	for _, never := range []string{"DATA RACE", "panic", "goroutine ", "daybook:daybook"} {
		if at := strings.Index(text, never); at >= 0 {
			p.t.Errorf("the log of %s holds %q:\n%.3000s", p.name, never, text[at:])
		}
	}
	if p.t.Failed() {
		p.t.Logf("the end of the log of %s (%s):\n%s", p.name, p.URL(), p.Log())
	}
}
