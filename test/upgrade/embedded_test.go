package upgrade

import (
	"path/filepath"
	"strings"
	"testing"

	"daybook/test/cluster"
	"daybook/test/faulttable"
)

func TestTheBuildBeforeOpensAStoreThatTheNextOneHasWrittenAndStopsWhereItCannotRead(t *testing.T) {
	faulttable.Covers(t, "F60", faulttable.Embedded)
	older, newer := program(t, this), program(t, next)
	d := newDesk(t)
	p := cluster.New(t, older, "DAYBOOK_STORE_PEBBLE_PATH="+filepath.Join(t.TempDir(), "store")).Start("daybook")
	become := func(binary string) {
		t.Helper()
		p.Stop()
		cluster.CheckVerified(t, p)
		p.Install(binary)
		p.Start()
	}
	for _, account := range []string{"old", "paid", "named"} {
		d.taken(p, account, "create", 0)
		d.taken(p, account, "deposit", 100)
	}
	become(newer)
	key, first := d.taken(p, "paid", "deposit", 20)
	d.taken(p, "named", "rename", 0)
	d.taken(p, "new", "create", 0)
	if a := shows(t, p, "named", newName); a.Balance != 100 {
		t.Errorf("the next build shows %+v", a)
	}

	become(older)
	parks(t, p, "paid", laterSchema)
	parks(t, p, "named", unknownType)
	for _, verb := range []string{"deposit", "withdraw"} {
		d.refused(p, "paid", verb, 1, laterSchema)
		d.refused(p, "named", verb, 1, unknownType)
	}
	for account, says := range map[string]string{"paid": laterSchema, "named": unknownType} {
		at := p.URL() + "/v1/accounts/" + account
		for _, url := range []string{at + "?version=3", at + "/statement"} {
			if err := fails(t.Context(), url, "later_build", says); err != nil {
				t.Error(err)
			}
		}
		var before shown
		if err := cluster.Get(t.Context(), at+"?version=2", &before); err != nil || before.Balance != 100 {
			t.Errorf("before the event of the next build it shows %+v, %v", before, err)
		}
		if err := cluster.Get(t.Context(), at+"/events", nil); err != nil {
			t.Errorf("events are shown as they are stored: %v", err)
		}
	}
	if again := cluster.Post(t.Context(), p.URL(), "paid/deposit", `{"amount":20}`, key); !again.Replayed || again.Body != first.Body {
		t.Errorf("what the next build had answered %s is answered %s", first.Body, again.Body)
	}
	if _, a := d.send(p, "old", "rename", 0); a.Status != 404 {
		t.Errorf("a command of the next build was answered %d %s", a.Status, a.Body)
	}
	d.taken(p, "old", "deposit", 5)
	d.taken(p, "new", "deposit", 5)

	become(newer)
	d.taken(p, "paid", "deposit", 1)
	d.taken(p, "named", "deposit", 1)
	b := cluster.ReadBooks(t, p.URL())
	cluster.CheckAnswers(t, b, d.sent)
	cluster.CheckViews(t, b, p.URL(), patience)
	cluster.CheckRebuilt(t, p.URL(), patience)
	shows(t, p, "named", newName)
	if log := p.Log(); !strings.Contains(log, "a document is parked") {
		t.Errorf("the log does not tell that a view was parked:\n%s", log)
	}
	p.Stop()
	cluster.CheckVerified(t, p)
}
