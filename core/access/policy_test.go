package access_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"daybook/core/access"
)

var update = flag.Bool("update", false, "write the table of the policy into its page")

// operations are all that can be asked, in the order of the page.
var operations = []access.Operation{
	access.Create, access.PayIn, access.Use, access.Entrust, access.Govern, access.Read, access.Feed, access.Export, access.Checkpoint,
	access.Status, access.Operations, access.Rebuild, access.Archive, access.Backup, access.DeadLetters, access.Keys, access.Audit,
}

const (
	page  = "../../docs/access.md"
	begin = "<!-- the policy: go test ./core/access -update -->\n"
	end   = "<!-- end of the policy -->\n"
)

func TestThePageShowsThePolicy(t *testing.T) {
	words := map[access.Reach]string{access.None: "", access.Owned: "owner", access.Held: "owner, holder", access.All: "all"}
	table := "\n| Operation |"
	for _, r := range access.Roles {
		table += " " + string(r) + " |"
	}
	table += "\n|---|" + strings.Repeat("---|", len(access.Roles)) + "\n"
	for _, o := range operations {
		table += "| " + string(o) + " |"
		for _, r := range access.Roles {
			table += strings.TrimRight(" "+words[o.Reach(r)], " ") + " |"
		}
		table += "\n"
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := bytes.Cut(text, []byte(begin))
	_, after, ended := bytes.Cut(rest, []byte(end))
	if !found || !ended {
		t.Fatalf("%s has no place for the table: %q … %q", page, begin, end)
	}
	want := fmt.Sprintf("%s%s%s\n%s%s", before, begin, table, end, after)
	if want == string(text) {
		return
	}
	if !*update {
		t.Fatalf("%s does not show the policy as it is: run this test with -update", page)
	}
	if err := os.WriteFile(page, []byte(want), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestWhatThePolicyDoesNotNameIsForbidden(t *testing.T) {
	everybody := &access.Principal{Subject: "x", Roles: append([]access.Role{"king", ""}, access.Roles...)}
	for _, o := range []access.Operation{"", "unheard of", "Create", access.Public} {
		if g, err := everybody.Grant(o); !errors.Is(err, access.ErrForbidden) || g != (access.Grant{}) {
			t.Errorf("%q: %+v, %v", o, g, err)
		}
	}
	for _, o := range operations {
		if g, err := everybody.Grant(o); err != nil || g.Subject != "x" {
			t.Errorf("%q of all roles: %+v, %v", o, g, err)
		}
		for _, p := range []*access.Principal{{Subject: "x"}, {Subject: "x", Roles: []access.Role{"king", ""}}} {
			if g, err := p.Grant(o); !errors.Is(err, access.ErrForbidden) || g != (access.Grant{}) {
				t.Errorf("%q of %v: %+v, %v", o, p.Roles, g, err)
			}
		}
		for _, p := range []*access.Principal{nil, {}, {Roles: access.Roles}} {
			if g, err := p.Grant(o); !errors.Is(err, access.ErrUnauthenticated) || g != (access.Grant{}) {
				t.Errorf("%q of %v: %+v, %v", o, p, g, err)
			}
		}
	}
}

func TestTheWidestReachOfSeveralRolesCounts(t *testing.T) {
	p := &access.Principal{Subject: "x", Roles: []access.Role{access.Teller, access.Customer, access.Operator}}
	if g, err := p.Grant(access.Use); err != nil || g.Reach != access.All {
		t.Errorf("got %+v, %v", g, err)
	}
}

func TestAGrantCoversWhatIsWithinItsReach(t *testing.T) {
	for _, c := range []struct {
		reach                  access.Reach
		owner, holder, another bool
	}{{access.None, false, false, false}, {access.Owned, true, false, false}, {access.Held, true, true, false}, {access.All, true, true, true}} {
		g := access.Grant{Subject: "ada", Reach: c.reach}
		got := []bool{g.Covers("ada", nil), g.Covers("bob", []string{"eve", "ada"}), g.Covers("bob", []string{"Ada", "ad", ""})}
		readers := []bool{g.Reads([]string{"ada"}), g.Reads([]string{"bob", "eve", "ada"}), g.Reads(nil)}
		want := []bool{c.owner, c.holder, c.another}
		if fmt.Sprint(got) != fmt.Sprint(want) || fmt.Sprint(readers) != fmt.Sprint(want) {
			t.Errorf("reach %d covers %v, reads %v, want %v", c.reach, got, readers, want)
		}
	}
	if (access.Grant{Reach: access.Held}).Covers("", []string{""}) || (access.Grant{Reach: access.Owned}).Covers("", nil) {
		t.Error("nobody owns something")
	}
}

func TestAContextSaysWhoAsks(t *testing.T) {
	if access.Of(context.Background()) != nil || access.Of(access.As(context.Background(), nil)) != nil {
		t.Error("nobody has said")
	}
	if got := access.Of(access.As(access.As(context.Background(), access.Local), &access.Principal{Subject: "x"})); got.Subject != "x" {
		t.Errorf("got %+v", got)
	}
}

func TestAuditorsAndOperatorsAreWatchedWhereTheyReadWhatIsNotTheirs(t *testing.T) {
	watched := []access.Operation{access.Read, access.Feed, access.Export, access.DeadLetters, access.Keys, access.Audit}
	for _, o := range operations {
		for roles, watches := range map[string]bool{"customer": false, "teller": false, "auditor": true, "operator": true, "teller auditor": true, "": false} {
			p := &access.Principal{Subject: "local"} // a name is nothing special
			for _, r := range strings.Fields(roles) {
				p.Roles = append(p.Roles, access.Role(r))
			}
			if got := p.Watched(o); got != (watches && slices.Contains(watched, o)) {
				t.Errorf("%s of %q: watched is %t", o, roles, got)
			}
		}
		if access.Local.Watched(o) || (*access.Principal)(nil).Watched(o) {
			t.Errorf("%s of nobody in particular is watched", o)
		}
	}
}
