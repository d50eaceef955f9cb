package servers

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Instance is a server of one test alone, with data and ports of its own. Its methods fail the test when the server does not do
// what it is told. They may be called from one goroutine at a time; URL from any.
type Instance struct {
	t      testing.TB
	server string
	script string
	dir    string
	url    string
}

// Private starts a server of the given name ("postgres", "rabbitmq" or "elasticsearch") for this test alone, so that the test may
// kill it, and ends it after the test. It is ready when Private returns, which takes one to ten seconds. As for the shared
// servers, the test is skipped, or fails, when the server's variable is not set.
func Private(t testing.TB, server string) *Instance {
	t.Helper()
	address(t, server)
	// not t.TempDir, which nobody but its owner may enter: the server can be another user
	dir, err := os.MkdirTemp("", "daybook-"+server+"-")
	if err != nil {
		t.Fatal(err)
	}
	i := &Instance{t: t, server: server, script: filepath.Join(checkout(t), "scripts", "servers"), dir: dir}
	i.endWithTest()
	if err := os.Chmod(dir, 0o755); err != nil { // what is inside belongs to the server's user alone
		t.Fatal(err)
	}
	i.Start()
	return i
}

// endWithTest has another process wait for the end of its input, which comes with the end of the test or of the whole test
// process, however that ends, and then kill the server and remove its data.
func (i *Instance) endWithTest() {
	i.t.Helper()
	const wait = `cat; "$1" kill --dir "$2" "$3" 2>/dev/null && rm -rf -- "$2"`
	cmd := exec.Command("setsid", "bash", "-c", wait, "-", i.script, i.dir, i.server) // out of reach of an interrupt from the keyboard
	input, err := cmd.StdinPipe()
	if err != nil {
		i.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() {
		if err := errors.Join(input.Close(), cmd.Wait()); err != nil {
			i.t.Errorf("end the private %s and remove %s: %v", i.server, i.dir, err)
		}
	})
}

// URL is where the server is or was; it stays the same for as long as the instance lives.
func (i *Instance) URL() string { return i.url }

// Start starts the server again and returns when it is ready; when it runs nothing happens.
func (i *Instance) Start() {
	i.t.Helper()
	line := i.run("up")
	_, url, found := strings.Cut(strings.TrimSpace(line), "=") // export NAME='URL'
	url = strings.Trim(url, "'")
	switch {
	case !found:
		i.t.Fatalf("scripts/servers up %s printed %q instead of its variable", i.server, line)
	case i.url != "" && i.url != url:
		i.t.Fatalf("the port of %s was taken while it was down", i.server)
	}
	i.url = url
}

// Stop shuts the server down in order and returns when it has ended.
func (i *Instance) Stop() {
	i.t.Helper()
	i.run("down")
}

// Kill ends the server with SIGKILL, all its processes at once, and returns when they are gone.
func (i *Instance) Kill() {
	i.t.Helper()
	i.run("kill")
}

func (i *Instance) run(verb string) string {
	i.t.Helper()
	cmd := exec.Command(i.script, verb, "--dir", i.dir, i.server)
	var words bytes.Buffer
	cmd.Stderr = &words
	out, err := cmd.Output()
	if err != nil {
		i.t.Fatalf("scripts/servers %s %s: %v\n%s", verb, i.server, err, words.String())
	}
	return string(out)
}

// checkout is the folder of go.mod, above the package that is tested.
func checkout(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the working directory")
		}
	}
}
