package faults

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"daybook/test/cluster"
	"daybook/test/faulttable"
	"daybook/test/servers"
)

// nobody is an address at which nobody listens.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestAProcessWithoutItsDatabaseEndsWithWordsAndACodeWithinItsBound(t *testing.T) {
	t.Parallel()
	faulttable.Covers(t, "F65", faulttable.PostgreSQL)
	const bound = 20 * time.Second
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	address := nobody(t)
	out, err := exec.CommandContext(ctx, binary(t), "serve", "--http.addr", "127.0.0.1:0", "--store.driver", "postgres",
		"--store.postgres.url", "postgres://daybook:s3cret@"+address+"/ledger?sslmode=disable").CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 6 || ctx.Err() != nil {
		t.Errorf("it ended with %v", err)
	}
	if words := string(out); !strings.Contains(words, address) || !strings.Contains(words, "cannot be reached") || strings.Contains(words, "s3cret") {
		t.Errorf("it said %s", words)
	}
}

func TestAProcessThatStartsWithoutItsViewsTakesCommandsAndListsComeWithThem(t *testing.T) {
	t.Parallel()
	faulttable.Covers(t, "F65", faulttable.Elasticsearch)
	search := servers.Elastic(t)
	n := between(t, search)
	end := n.suffer("reset_peer", `"timeout":0`, "upstream", "downstream")
	p := cluster.New(t, binary(t), "DAYBOOK_STORE_DRIVER=memory", elastic, "DAYBOOK_VIEWS_ELASTICSEARCH_URL="+moved(t, search, n.host()),
		"DAYBOOK_VIEWS_ELASTICSEARCH_PREFIX="+servers.ElasticPrefix(t)+"faults").Start("all roles")
	if a := cluster.Post(t.Context(), p.URL(), "early/create", `{"owner":"Ada","currency":"EUR"}`, "create"); !a.Taken() {
		t.Fatalf("the first command was answered %d %s (%v)", a.Status, a.Body, a.Err)
	}
	var status *cluster.StatusError
	err := cluster.Get(t.Context(), p.URL()+"/v1/accounts", nil)
	if !errors.As(err, &status) || status.Status != http.StatusServiceUnavailable || status.Code != "view_unavailable" {
		t.Errorf("a list gave %v", err)
	}
	if err := cluster.Get(t.Context(), p.URL()+"/v1/accounts/early?version=1", nil); err != nil {
		t.Errorf("history needs no view: %v", err)
	}
	end()
	cluster.Within(t, recovery, "the list is there", func(ctx context.Context) error {
		return cluster.Get(ctx, p.URL()+"/v1/accounts?minPosition=1", nil)
	})
}
