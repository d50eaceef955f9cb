package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"daybook/adapters/notary"
	"daybook/app"
	"daybook/test/faulttable"
)

// onPebble is a command line on an embedded store in the folder, while no server has it.
const onPebble = " --store.pebble.path data"

// written makes a store in the folder with some accounts, and stops its server in order.
func written(t *testing.T) *cli {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	c := &cli{t, nil, dir}
	c.serve(func() {
		c.file("bank.yaml", bankYAML)
		var rows strings.Builder
		for i := range 300 {
			fmt.Fprintf(&rows, "A%d,%d,2024-01-02,10.00,salary\n", i%3, i)
		}
		c.file("bank.csv", bankHead+rows.String())
		c.want(exitOK, "import bank.csv --mapping bank.yaml")
		c.file("kept.txt", c.want(exitOK, "checkpoint"))
		c.file("proof.json", c.get("/v1/events/evt-100/proof"))
		c.want(exitUnavailable, "verify"+onPebble, "in use by another process")
		c.want(exitOK, "verify --server "+c.app.URL()+" --key data.seal/key.pub --checkpoint kept.txt", "All 303 events are as they were written")
	})
	return c
}

// serve runs a server on the store while f is called.
func (c *cli) serve(f func()) {
	c.t.Run("served", func(t *testing.T) {
		before := c.t
		defer func() { c.t, c.app = before, nil }()
		c.t = t
		config := app.Default()
		config.Store.Pebble.Path = "data"
		c.app = servingOn(t, config)
		t.Setenv("DAYBOOK_SERVER", c.app.URL())
		f()
	})
}

func (c *cli) get(path string) string {
	c.t.Helper()
	resp, err := http.Get(c.app.URL() + path) //nolint:noctx // of a test's own server
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		c.t.Fatalf("%s: %d, %v", path, resp.StatusCode, err)
	}
	return string(body)
}

func TestVerifyChecksTheStoreAgainstWhatWasKept(t *testing.T) {
	faulttable.Covers(t, "F20", faulttable.Embedded)
	c := written(t)
	c.want(exitOK, "verify"+onPebble, "All 303 events are as they were written (303 checked now, held against 1 checkpoints)")
	c.want(exitOK, "verify --checkpoint kept.txt -o json"+onPebble, `"checkpoints": 2`)
	c.want(exitOK, "verify --resume st"+onPebble, "303 checked now")
	c.want(exitOK, "verify --resume st"+onPebble, "0 checked now")
	c.serve(func() {
		c.file("more.csv", bankHead+"A0,1000,2024-01-03,1.00,more\n")
		c.want(exitOK, "import more.csv --mapping bank.yaml")
	})
	c.want(exitOK, "verify --resume st"+onPebble, "All 304 events are as they were written (1 checked now")
	c.file("st", "daybook verified 00 00\n")
	c.want(exitUsage, "verify --resume st"+onPebble, "does not say what was verified")
	c.want(exitUsage, "verify --store.driver memory", "belongs to the process")
	c.want(exitUsage, "verify --checkpoint none.txt"+onPebble, "none.txt")
	c.want(exitUsage, "verify --checkpoint bank.csv"+onPebble, "holds no checkpoint")
	c.want(exitUsage, "verify --resume st --server http://127.0.0.1:1", "always checked from the beginning")

	kept, err := os.ReadFile("kept.txt")
	if err != nil {
		t.Fatal(err)
	}
	c.file("forged.txt", strings.Replace(string(kept), "303", "302", 1))
	c.want(exitIntegrity, "verify --checkpoint forged.txt"+onPebble, "not signed by daybook")
	if err := os.RemoveAll(filepath.Join(c.dir, "data")); err != nil { // and another history in its place
		t.Fatal(err)
	}
	c.serve(func() {})
	c.want(exitIntegrity, "verify --checkpoint kept.txt"+onPebble, "the end is missing", "303 events")
}

func TestAServerThatCannotAnswerIsNoDamageAndOneThatFoundDamageIs(t *testing.T) {
	c := written(t)
	kept, err := os.ReadFile("kept.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, says := range []struct {
		status int
		code   string
		exit   int
	}{
		{http.StatusServiceUnavailable, "archive_unavailable", exitUnavailable},
		{http.StatusUnauthorized, "unauthenticated", exitUnauthorised},
		{http.StatusInternalServerError, "internal", exitFailure},
		{http.StatusInternalServerError, "store_damaged", exitIntegrity},
		{http.StatusInternalServerError, "archive_damaged", exitIntegrity},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v1/checkpoint" {
				_, _ = io.WriteString(w, notary.Split(string(kept))[0]) // a client that has left shows by itself
				return
			}
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(says.status)
			fmt.Fprintf(w, `{"status":%d,"code":%q,"detail":"It is so."}`, says.status, says.code)
		}))
		code, _, words := c.do("verify --server " + server.URL)
		if named := strings.Contains(words, "position 1"); code != says.exit || named != (code == exitIntegrity) {
			t.Errorf("%s: exit code %d: %s", says.code, code, words)
		}
		server.Close()
		c.want(exitUnavailable, "verify --timeout 1s --server "+server.URL)
	}
}

func TestVerifyProofNeedsNoServer(t *testing.T) {
	c := written(t)
	c.want(exitOK, "verify proof proof.json --key data.seal/key.pub", "evt-100 is in the ledger as it is shown: event 100 of the 303", "signed by daybook")
	c.want(exitOK, "verify proof proof.json", "the signature was not checked")
	whole, err := os.ReadFile("proof.json")
	if err != nil {
		t.Fatal(err)
	}
	c.file("forged.json", strings.Replace(string(whole), `\"amount\":1000`, `\"amount\":1001`, 1))
	c.want(exitIntegrity, "verify proof forged.json --key data.seal/key.pub", "does not have the hash that it shows", "at position 100")
	for i := range whole {
		changed := append([]byte{}, whole...)
		changed[i] ^= 4
		if string(changed) == string(whole) {
			continue
		}
		c.file("changed.json", string(changed))
		if code, out, _ := c.do("verify proof changed.json --key data.seal/key.pub"); code != exitIntegrity {
			t.Fatalf("with byte %d changed: exit code %d\n%s\n%s", i, code, out, changed)
		}
	}
	c.want(exitUsage, "verify proof none.json", "none.json")
}

func TestVerifyHoldsTheAccessLedgerAgainstItsOwnCheckpoints(t *testing.T) {
	c := written(t)
	c.want(exitOK, "keys create --subject otto --role auditor"+onPebble)
	c.serve(func() { c.get("/v1/status") })
	c.want(exitOK, "verify --access"+onPebble, "All 1 events are as they were written (1 checked now, held against 0 checkpoints)") // nobody needed it
	c.serve(func() {
		c.want(exitOK, "rebuild --reason tuesday", "built again")
		c.want(exitOK, "audit", "tuesday")
	})
	c.want(exitOK, "verify --access"+onPebble, "All 2 events are as they were written (2 checked now, held against 1 checkpoints)")
	c.want(exitUsage, "verify --access --checkpoint kept.txt"+onPebble, "not the ledger that is checked")
	c.want(exitUsage, "verify --checkpoint data.seal/checkpoints.access"+onPebble, "not the ledger that is checked")
	if err := os.RemoveAll("data.access"); err != nil { // and another one in its place
		t.Fatal(err)
	}
	c.want(exitOK, "keys create --subject mallory --role operator"+onPebble)
	c.want(exitIntegrity, "verify --access"+onPebble, "the end is missing")
}

func TestAKeyFileThatEverybodyCanReadIsRefused(t *testing.T) {
	c := newCLI(t)
	c.file("mine", "dbk_aaaaaaaa_x")
	t.Setenv("DAYBOOK_API_KEY_FILE", "mine")
	c.want(exitUnauthorised, "account get acc-1")
	if err := os.Chmod("mine", 0o644); err != nil {
		t.Fatal(err)
	}
	c.want(exitUsage, "account get acc-1", "others may read mine")
	t.Setenv("DAYBOOK_API_KEY_FILE", "")
	t.Setenv("DAYBOOK_API_KEY", "dbk_aaaaaaaa_x")
	c.want(exitUsage, "account get acc-1 --server http://192.0.2.7:1", "in the clear", "--insecure-send-key")
}
