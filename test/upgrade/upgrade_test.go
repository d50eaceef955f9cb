// Package upgrade runs two builds of the program on one store: the one of the tree, and a release after it. That one is made by a
// patch, as docs/events.md says to: next.patch changes an event and adds one, wider.patch adds a field to the view, tables.patch a column
// and a table to the store. The package holds tests alone.
package upgrade

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"daybook/test/books"
	"daybook/test/cluster"
	"daybook/test/overlay"
)

// release is a build that differs from the one of the tree by a patch.
type release struct {
	patch  string                 // "": the tree as it is
	list   func() (string, error) // of the files that differ, for go build -overlay
	binary func() (string, error) // of the program; made once for all tests
}

var (
	this   = newRelease("")
	next   = newRelease("next.patch")   // changes an event and adds one
	wider  = newRelease("wider.patch")  // adds a field to the view of accounts
	tables = newRelease("tables.patch") // adds a column and a table in PostgreSQL
)

func newRelease(patch string) *release {
	r := &release{patch: patch}
	r.list = sync.OnceValues(r.apply)
	r.binary = sync.OnceValues(r.build)
	return r
}

func (r *release) dir() string { return filepath.Join(folder, "with "+r.patch) }

func (r *release) apply() (string, error) {
	list, err := overlay.Apply(context.Background(), r.dir(), r.patch)
	return list, r.renew(err)
}

func (r *release) build() (string, error) {
	flags := []string{"-ldflags=-s -w"} // what debuggers need takes the linker as long as all the rest
	if err := os.MkdirAll(r.dir(), 0o750); err != nil {
		return "", err
	}
	if r.patch != "" {
		list, err := r.list()
		if err != nil {
			return "", err
		}
		flags = append(flags, "-overlay", list)
	}
	binary, err := cluster.Build(r.dir(), flags...)
	return binary, r.renew(err)
}

// renew adds to an error how to write the patch anew.
func (r *release) renew(err error) error {
	if err == nil || r.patch == "" {
		return err
	}
	return fmt.Errorf(`%w
%s may not fit the tree any more. Make its changes by hand, as docs/events.md says, write what "git diff" says of them to it, and
take them back.`, err, r.patch)
}

// program is that of a release.
func program(t *testing.T, r *release) string {
	t.Helper()
	binary, err := r.binary()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

var folder string

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "daybook-upgrade-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	folder = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// patience is how long anything may take.
const patience = cluster.Patience

// What a process of this build says of the next one's events.
const (
	laterSchema = "is MoneyDeposited of schema 2 and this build reads it up to schema 1; run a build that knows schema 2 of MoneyDeposited"
	unknownType = "is AccountRenamed of schema 1 and this build does not know this type; run a build that knows schema 1 of AccountRenamed"
)

// newName is what rename calls the owner.
const newName = "Ada King"

// desk sends commands one by one, and remembers what became of them.
type desk struct {
	t    *testing.T
	sent map[string]cluster.Final
}

func newDesk(t *testing.T) *desk { return &desk{t, map[string]cluster.Final{}} }

// send sends a command to a process. Only the next build knows rename.
func (d *desk) send(p *cluster.Program, account, verb string, amount int64) (key string, a *cluster.Answer) {
	d.t.Helper()
	c := books.Command{Key: fmt.Sprintf("desk-%d", len(d.sent)), Account: account, Verb: verb, Amount: amount}
	data := cluster.Data(&c)
	if verb == "rename" {
		data = fmt.Sprintf(`{"ownerName":%q}`, newName)
	}
	a = cluster.Post(d.t.Context(), p.URL(), cluster.Path(&c), data, c.Key)
	d.sent[c.Key] = cluster.Final{Command: c, Answer: a}
	return c.Key, a
}

// taken sends a command that must be taken.
func (d *desk) taken(p *cluster.Program, account, verb string, amount int64) (key string, a *cluster.Answer) {
	d.t.Helper()
	key, a = d.send(p, account, verb, amount)
	if !a.Taken() {
		d.t.Fatalf("%s of %s was answered %d %s (%v)", verb, account, a.Status, a.Body, a.Err)
	}
	return key, a
}

// refused sends a command that a process of this build must refuse, as it cannot read an event of the account.
func (d *desk) refused(p *cluster.Program, account, verb string, amount int64, says string) {
	d.t.Helper()
	if _, a := d.send(p, account, verb, amount); a.Status != 503 || a.Code != "later_build" || a.Retry == "" || !strings.Contains(a.Body, says) {
		d.t.Errorf("%s of %s was answered %d %s (%v), want words with %q", verb, account, a.Status, a.Body, a.Err, says)
	}
}

// shown is an account as a process shows it.
type shown struct {
	OwnerName string
	Balance   int64
	Version   int64
}

// shows waits until a process shows an account, and gives it.
func shows(t *testing.T, p *cluster.Program, account, name string) (a shown) {
	t.Helper()
	cluster.Within(t, patience, p.Name()+" shows "+account, func(ctx context.Context) error {
		err := cluster.Get(ctx, p.URL()+"/v1/accounts/"+account, &a)
		if err == nil && a.OwnerName != name {
			err = fmt.Errorf("it is named %s", a.OwnerName)
		}
		return err
	})
	return a
}

// parks waits until a process says that the view of an account waits for another build, which /v1/status names.
func parks(t *testing.T, p *cluster.Program, account, says string) {
	t.Helper()
	cluster.Within(t, patience, p.Name()+" parks "+account, func(ctx context.Context) error {
		return fails(ctx, p.URL()+"/v1/accounts/"+account, "view_parked", "")
	})
	if _, why := parked(t, p); !strings.Contains(why[account], says) {
		t.Errorf("/v1/status of %s says of %s %q, want words with %q", p.Name(), account, why[account], says)
	}
}

// fails is nil when a reading is answered 503 with a code and words.
func fails(ctx context.Context, url, code, says string) error {
	err := cluster.Get(ctx, url, nil)
	var status *cluster.StatusError
	switch {
	case err == nil:
		return fmt.Errorf("%s was answered", url)
	case errors.As(err, &status) && status.Status == 503 && status.Code == code && strings.Contains(status.Body, says):
		return nil
	}
	return fmt.Errorf("%s gave %w, want %s with %q", url, err, code, says)
}

// parked is how many views of accounts a process tells of that wait, and why the first ones do.
func parked(t *testing.T, p *cluster.Program) (count int, why map[string]string) {
	t.Helper()
	var status struct {
		ParkedCount *int
		Parked      []struct{ ID, Reason string }
		Views       []struct{ Reason string }
	}
	cluster.Within(t, patience, p.Name()+" tells what is parked", func(ctx context.Context) error {
		err := cluster.Get(ctx, p.URL()+"/v1/status", &status)
		if err == nil && status.ParkedCount == nil {
			err = fmt.Errorf("the views could not be asked: %+v", status.Views)
		}
		return err
	})
	why = map[string]string{}
	for _, d := range status.Parked {
		why[d.ID] = d.Reason
	}
	return *status.ParkedCount, why
}
