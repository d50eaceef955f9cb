package upgrade

import (
	"context"
	"fmt"
	"testing"

	"daybook/test/cluster"
	"daybook/test/faulttable"
)

// listed waits until a process lists an account at a version, and gives what it shows as available, nil if it knows no such field.
func listed(t *testing.T, p *cluster.Program, account string, version int64) (available *int64) {
	t.Helper()
	cluster.Within(t, patience, fmt.Sprintf("%s lists %s at version %d", p.Name(), account, version), func(ctx context.Context) error {
		var page struct {
			Items []struct {
				ID        string
				Version   int64
				Available *int64
			}
		}
		if err := cluster.Get(ctx, p.URL()+"/v1/accounts?limit=1&q="+account, &page); err != nil {
			return err
		}
		if len(page.Items) != 1 || page.Items[0].ID != account || page.Items[0].Version != version {
			return fmt.Errorf("it lists %+v", page.Items)
		}
		available = page.Items[0].Available
		return nil
	})
	return available
}

// notListed waits until a process says that it has no views to list anything from.
func notListed(t *testing.T, p *cluster.Program) {
	t.Helper()
	cluster.Within(t, patience, p.Name()+" has no views", func(ctx context.Context) error {
		return fails(ctx, p.URL()+"/v1/accounts", "view_rebuilding", "")
	})
}

// A release whose views have a field more, in the order of docs/operations.md with a step back. Commands and history need no view.
func TestBuildsWhoseViewsHaveOtherFieldsAnswerFromTheirOwnOrSayThatTheyAreNotThere(t *testing.T) {
	faulttable.Covers(t, "F61", faulttable.Production)
	w := start(t, wider, elastic, elastic)
	old, upgraded := w.apis[0], w.apis[1]
	goOn := func(p *cluster.Program, version int64) {
		t.Helper()
		if _, a := w.taken(p, "steady", "deposit", 1); a.Version != version {
			t.Errorf("%s answered version %d, want %d", p.Name(), a.Version, version)
		}
		var was shown
		if err := cluster.Get(t.Context(), fmt.Sprintf("%s/v1/accounts/steady?version=%d", p.URL(), version), &was); err != nil || was.Balance != version-1 {
			t.Errorf("%s shows the past as %+v, %v", p.Name(), was, err)
		}
	}
	w.taken(old, "steady", "create", 0)
	goOn(old, 2)
	listed(t, upgraded, "steady", 2)

	w.become(w.newer, w.workers...)
	notListed(t, old)
	goOn(old, 3)
	w.become(w.newer, upgraded)
	if available := listed(t, upgraded, "steady", 3); available == nil || *available != 2 {
		t.Errorf("the new field holds %v", available)
	}

	w.become(w.older, w.workers...)
	notListed(t, upgraded)
	goOn(upgraded, 4)
	if available := listed(t, old, "steady", 4); available != nil {
		t.Errorf("a build that does not know the new field shows %d", *available)
	}

	w.become(w.newer, w.workers...)
	w.become(w.newer, old)
	goOn(old, 5)
	for _, p := range w.apis {
		if available := listed(t, p, "steady", 5); available == nil || *available != 4 {
			t.Errorf("the new field holds %v at %s", available, p.Name())
		}
	}
	if seen := w.settle(nil); seen.Kinds["503 later_build"] > 0 {
		t.Errorf("clients saw %v", seen)
	}
}
