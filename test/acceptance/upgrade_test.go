package acceptance

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"daybook/test/faulttable"
)

// The folder upgrade holds what a build from before accounts had owners' names wrote and answered: its embedded store, packed when
// it had ended, all events, all accounts, and the statement of acc-1.
const upgrade = "testdata/upgrade"

func answered(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(upgrade, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// unpacked gives a folder with the store of the build before.
func unpacked(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	packed, err := os.Open(filepath.Join(upgrade, "store.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	plain, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	for files := tar.NewReader(plain); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.FromSlash(header.Name))
		if header.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, 0o750)
		} else {
			var text []byte
			if text, err = io.ReadAll(files); err == nil {
				err = os.WriteFile(path, text, 0o600)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// hashes are those that a store written before there were any gets when it is opened.
var hashes = regexp.MustCompile(`,"hash":"[0-9a-f]{64}"}`)

// unsealed is the feed without its hashes, and how many there were.
func unsealed(t *testing.T, d *daybook) (feed string, count int) {
	t.Helper()
	feed = string(d.get("/v1/events?limit=1000").want(t, 200).body)
	return hashes.ReplaceAllString(feed, "}"), len(hashes.FindAllString(feed, -1))
}

func TestTheStoreOfTheBuildBeforeIsReadAsItIsAndGoesOn(t *testing.T) {
	faulttable.Covers(t, "F59", faulttable.Embedded)
	dir := unpacked(t)
	d := start(t, onPebble(dir))
	same := func(path, file string, change func(string) string) {
		t.Helper()
		want := answered(t, file)
		if change != nil {
			want = change(want)
		}
		if got := string(d.get(path).want(t, 200).body); got != want {
			t.Errorf("%s gives\n%s\nwant\n%s", path, got, want)
		}
	}
	owner := regexp.MustCompile(`"owner":("(?:[^"\\]|\\.)*")`)
	limit := regexp.MustCompile(`"overdraftLimit":\d+`)
	named := func(before string) string {
		return limit.ReplaceAllString(owner.ReplaceAllString(before, `"owner":$1,"ownerName":$1`), `$0,"holders":[]`)
	}
	if got, hashes := unsealed(t, d); got != answered(t, "events.json") || hashes != 13 { // byte for byte, schema 1
		t.Errorf("%d hashes were added to what became\n%s", hashes, got)
	}
	same("/v1/accounts?minPosition=13", "accounts.json", named)
	same("/v1/accounts/acc-1/statement?at=2030-01-01T00:00:00Z", "statement.json", nil)
	if got := d.get("/v1/accounts/acc-2?version=1").want(t, 200); got.member("ownerName") != `cust-"\17\ ☀` || got.member("balance") != int64(0) {
		t.Errorf("got %s", got.body)
	}
	for _, again := range []struct {
		path, key, body string
		status          int
	}{
		{"/v1/accounts/acc-1/create", "create-1", `{"owner":"Ada Lovelace","currency":"EUR","overdraftLimit":5000,"reference":"R-1","description":"Für \"Ada\" & Söhne ☀"}`, 201},
		{"/v1/accounts/acc-1/transfer", "transfer-1", `{"to":"acc-2","amount":30000,"reference":"invoice 7"}`, 200},
		{"/v1/accounts/acc-2/withdraw", "refused-1", `{"amount":999999}`, 422},
	} {
		got := d.post(again.path, again.body, "Idempotency-Key", again.key).want(t, again.status)
		if got.header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("%s was done again: %s", again.key, got.body)
		}
	}

	if got := d.post("/v1/accounts/acc-2/correct", `{"event":"evt-7","reason":"sent twice"}`).want(t, 200); got.member("balance") != int64(0) {
		t.Errorf("got %s", got.body)
	}
	d.post("/v1/accounts/acc-5/create", `{"owner":"customer-5","ownerName":"Mary Somerville","currency":"EUR"}`).want(t, 201)
	after := func() {
		t.Helper()
		stored, _ := unsealed(t, d)
		if before := strings.TrimSuffix(answered(t, "events.json"), "]}"); !strings.HasPrefix(stored, before) {
			t.Errorf("the events before were changed:\n%s", stored)
		}
		for path, want := range map[string]int64{"acc-1": 97500, "acc-2": 0} {
			if got := d.get("/v1/accounts/"+path+"?minPosition=16").want(t, 200); got.member("balance") != want {
				t.Errorf("got %s, want %d", got.body, want)
			}
		}
		if got := d.get("/v1/events/evt-16").want(t, 200); got.member("schema") != int64(2) || got.member("data.ownerName") != "Mary Somerville" {
			t.Errorf("got %s", got.body)
		}
	}
	after()
	d.stop()
	d = start(t, onPebble(dir))
	after()
}
