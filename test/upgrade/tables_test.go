package upgrade

import (
	"strings"
	"testing"

	"daybook/test/faulttable"
)

// The first process of a release brings the tables up to it, under load. Those of the build before go on until they are replaced; but one
// that starts then cannot know what has changed, and does not start.
func TestAReleaseChangesTheTablesWhileTheBuildBeforeGoesOn(t *testing.T) {
	faulttable.Covers(t, "F61", faulttable.Production)
	w := start(t, tables, elastic, memory)
	w.load.Mark()
	w.become(w.newer, w.workers[0])
	w.load.Await(t, 200, patience)
	if s := w.load.Spell(); len(s.Kinds) > 0 || s.Silence.Seconds() > 2 {
		t.Errorf("while the tables were changed clients saw %v", s)
	}

	old := w.apis[0]
	old.Stop()
	words, err := old.Command("serve", "--http.addr", "127.0.0.1:0").CombinedOutput()
	if err == nil || !strings.Contains(string(words), "was migrated by a newer Daybook") || !strings.Contains(string(words), "use that or a later build") {
		t.Errorf("the build before ended with %v and %s", err, words)
	}
	old.Install(w.newer)
	old.Start()
	w.become(w.newer, w.workers[1], w.apis[1])
	w.settle(nil)
}
