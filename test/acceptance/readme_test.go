package acceptance

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"daybook/test/servers"
)

const serveCommand = "go run ./cmd/daybook serve"

// TestEveryCommandOfTheReadmeWorksAsWritten runs the README's shell blocks in order, as a newcomer would: the server in one
// terminal, the rest in another. Only the address and the folder are others, so that the test disturbs nobody.
func TestEveryCommandOfTheReadmeWorksAsWritten(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED under -short: it builds the program")
	}
	for _, tool := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED: the README's tour needs %s", tool)
		}
	}
	text, _ := readme(t)
	addr, store := freeAddr(t), filepath.Join(t.TempDir(), "store")
	_, guarded, _ := strings.Cut(freeAddr(t), ":")
	own := strings.NewReplacer("127.0.0.1:8080", addr, "daybook-data", store, "8085", guarded, ".cache/daybook", filepath.Join(t.TempDir(), "daybook"))
	var serves int
	var tour []string
	for _, block := range shellBlocks(text) {
		switch {
		case strings.TrimSpace(block) == serveCommand:
			serves++
		case strings.TrimSpace(block) == "go test ./...": // that is what runs now
		default:
			tour = append(tour, own.Replace(block))
		}
	}
	if serves != 1 || len(tour) < 5 {
		t.Fatalf("the README has %d times %q and %d blocks of a tour", serves, serveCommand, len(tour))
	}
	env := append(os.Environ(), "DAYBOOK_HTTP_ADDR="+addr, "DAYBOOK_SERVER=http://"+addr, "DAYBOOK_STORE_PEBBLE_PATH="+store)
	serveInBackground(t, env, addr)
	out := runTour(t, env, tour)
	for _, want := range []string{
		`"code":"insufficient_funds"`, `"balance":1000,"limit":0,"requested":999999`, // the broken rule
		`"version":2,"position":3,`,                               // the past by version
		`"currency":"EUR","balance":70,"effectiveAt":"2024-12-31`, // the past in the world
		"MoneyDeposited,70,70,",                                   // the statement
		`"balance":1300,"events":[{"id":"evt-8","eventType":"EntryCorrected"`, `"code":"already_corrected"`,
		"events are as they were written", "evt-5 is in the ledger as it is shown",
		`"balance":1370`,                                           // found in the list
		"so it needs --auth.mode required", "refused, exit code 8", // the address that others reach
		`{"account":"acc-1","version":1,`, `"code":"unauthenticated"`, "(forbidden)", "refused, exit code 5", " 429 ",
		"of tina has ended.", "was revoked", "no credential was sent", "no tokens are taken here", "forbidden", "KeyRevoked", "she has left", "GET /v1/admin/audit", // the audit log
		"guarantees hold on store.driver pebble",
		"The configuration is right.",
		"2        2       5              0        1         0", // the import
		"2        0       0              5        1         0", // and the same again
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the tour never shows %s", want)
		}
	}
	salary := regexp.MustCompile(`(?m)^\{"account":"acc-101","version":5,.*$`).FindAllString(out, -1)
	if len(salary) != 2 || salary[0] != salary[1] {
		t.Errorf("the salary was answered %q", salary)
	}
	if t.Failed() {
		t.Log(out)
	}
}

// readme gives the README without its section on production, and that section.
func readme(t *testing.T) (rest, production string) {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	before, after, ok := strings.Cut(string(text), "\n## In production\n")
	production, behind, again := strings.Cut(after, "\n## ")
	if !ok || !again {
		t.Fatal("the README has no section on production")
	}
	return before + "\n## " + behind, production
}

// TestTheReadmesProductionWorksAsWritten runs that section's shell blocks on real servers. Only the addresses are others, the
// servers are those that run already, and the ledger has a name of its own, so that the test disturbs nobody.
func TestTheReadmesProductionWorksAsWritten(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED under -short: it builds the program")
	}
	env := append(os.Environ(),
		"DAYBOOK_TEST_POSTGRES_URL="+servers.PostgresDatabase(t), "DAYBOOK_TEST_RABBITMQ_URL="+servers.Rabbit(t), "DAYBOOK_TEST_ELASTICSEARCH_URL="+servers.Elastic(t),
		"DAYBOOK_BUS_RABBITMQ_PREFIX="+strings.TrimSuffix(servers.RabbitPrefix(t), "."), "DAYBOOK_VIEWS_ELASTICSEARCH_PREFIX="+servers.ElasticPrefix(t))
	_, text := readme(t)
	const up = `eval "$(scripts/servers up)"`
	if !strings.Contains(text, up) {
		t.Fatalf("the section does not say %s", up)
	}
	text = strings.ReplaceAll(text, up, "")
	text = strings.ReplaceAll(text, ".cache/daybook", filepath.Join(t.TempDir(), "daybook"))
	for _, port := range []string{"8081", "8082", "8083", "8084"} {
		_, free, _ := strings.Cut(freeAddr(t), ":")
		text = strings.ReplaceAll(text, port, free)
	}
	out := runTour(t, env, shellBlocks(text))
	for _, want := range []string{
		"2        2       5              0        1         0",                                                                             // the import
		`"id":"example-1","owner":"Owner of example-1","ownerName":"Owner of example-1","currency":"EUR","status":"open","balance":72951,`, // through the other process
		"2        0       0              5        1         0",                                                                             // the same again, through the one that is left
		`"account":"example-1","version":5,"position":8,"balance":73451,`,                                                                  // it takes commands
		`"status":"open","balance":73451,"overdraftLimit":0,"holders":[],"version":5,"position":8,`,                                        // and the standby shows them
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it never shows %s", want)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
}

// shellBlocks gives the fenced blocks marked sh, in order.
func shellBlocks(markdown string) []string {
	var blocks []string
	for _, m := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(markdown, -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// serveInBackground runs the README's serve command until the test ends.
func serveInBackground(t *testing.T, env []string, addr string) {
	t.Helper()
	var log bytes.Buffer
	cmd := exec.Command("bash", "-c", "exec "+serveCommand)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = "../..", env, &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // go run starts the program as its child: both must be stopped
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan string, 1)
	go func() { ended <- fmt.Sprint(cmd.Wait()) }()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		<-ended
		http.DefaultClient.CloseIdleConnections()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if res, err := http.Get("http://" + addr + "/readyz"); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case how := <-ended:
			ended <- how
			t.Fatalf("%s ended: %s\n%s", serveCommand, how, log.String())
		case <-ctx.Done():
			t.Fatalf("%s is not ready", serveCommand)
		case <-tick.C:
		}
	}
}

// runTour runs the blocks in one shell that stops at the first failure, and gives what they print.
func runTour(t *testing.T, env []string, blocks []string) string {
	t.Helper()
	script := "set -euo pipefail\n" + strings.Join(blocks, "\n")
	cmd := exec.CommandContext(t.Context(), "bash", "-c", script)
	cmd.Dir, cmd.Env = "../..", env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 5 * time.Second // a script that fails leaves what it started in the background
	out, err := cmd.CombinedOutput()
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, fmt.Sprintf("%s\n--- in ---\n%s", out, script))
	}
	return string(out)
}
