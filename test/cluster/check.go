package cluster

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"daybook/test/books"
)

// Check is the one oracle of the tests that break the real program: it holds all that clients were told, and all that each process
// shows, against the events of the store. The load is stopped, and others were told what they were told by other doors. By number:
//
//	I1   what was answered with success is there                                       books.CheckAnswers
//	I2   the events of a command are there all or none                                 books.CheckAnswers
//	I3   what was refused, or of which a client was told that nothing happened, has no event   books.CheckAnswers
//	I4   a key has one effect, and one answer whenever it is sent                      books.CheckAnswers, CheckReplays
//	I5   versions and positions have no gap; whoever listens or follows gets each event   books.Open, Listener.Check, Follower.Check
//	I6   balances are the fold of the events and within their limits, transfers sum to nothing   books.Open, books.CheckAnswers
//	I7   each view is the fold of the events; built again it is the same               CheckViews, CheckRebuilt
//	I8   verify finds nothing                                                          CheckVerified
//	I9   the history of all clients is linearizable                                    books.CheckHistory
//	I10  recorded time rises                                                           books.Open
//	I11  nothing is left behind: goroutines, open files, connections, unfinished files   checkFootprints, from Cluster.Rest on
//	     and generations of indices, files of an archive                                the tests that make some
//	I12  whatever was killed is ready, takes commands and has caught up in time        Within, Load.Await, CheckViews
//	I13  a failure has a code, says when to come back, and nothing of what is inside   Answer.Improper, Program's log
func (c *Cluster) Check(load *Load, others map[string]Final, limit time.Duration, urls ...string) *books.Books {
	t := c.t
	t.Helper()
	told := maps.Clone(load.Finals())
	maps.Copy(told, others)
	var b *books.Books
	for _, url := range urls {
		b = readBooks(t, url, load.After)
		CheckAnswers(t, b, told)
		CheckReplays(t, url, load.Finals())
	}
	for _, url := range urls {
		CheckViews(t, b, url, limit)
	}
	CheckHistory(t, b, load)
	c.checkFootprints(limit)
	return b
}

// ReadBooks reads the whole store through a process. What does not hold fails the test.
func ReadBooks(t testing.TB, base string) *books.Books {
	t.Helper()
	return readBooks(t, base, 0)
}

// readBooks reads what comes after a position.
func readBooks(t testing.TB, base string, position int64) *books.Books {
	t.Helper()
	var events []books.Event
	for after := fmt.Sprint(position); after != ""; {
		var page struct {
			Items []books.Event
			Next  string
		}
		if err := Get(t.Context(), base+"/v1/events?limit=1000&after="+after, &page); err != nil {
			t.Fatal(err)
		}
		events = append(events, page.Items...)
		after = page.Next
	}
	return books.OpenAfter(position, events, t.Errorf)
}

// told is what the client of a command was told.
func (f *Final) told() books.Told {
	a := f.Answer
	told := books.Told{Command: f.Command, Code: a.Code, Version: a.Version, Position: a.Position, Balance: a.Balance, Events: a.Events}
	switch {
	case a.Taken():
		told.Became = books.Taken
	case a.Refused():
		told.Became = books.Refused
	default:
		told.Became = books.Nothing
	}
	return told
}

// CheckAnswers holds what clients were told against the books.
func CheckAnswers(t testing.TB, b *books.Books, finals map[string]Final) {
	t.Helper()
	told := map[string]books.Told{}
	for key, f := range finals {
		told[key] = f.told()
	}
	t.Logf("%d events of %d commands: %v", len(b.Events), len(finals), b.CheckAnswers(told, t.Errorf))
}

// CheckHistory checks that all that clients of all processes were told could have been told by one process, one after another.
func CheckHistory(t testing.TB, b *books.Books, load *Load) {
	t.Helper()
	began, history := time.Now(), load.History()
	b.CheckHistory(history, t.Errorf)
	t.Logf("the history of %d commands and readings was checked in %v", len(history), time.Since(began).Round(time.Millisecond))
}

// CheckReplays sends some commands again, with their keys, and checks that what was decided is answered as it was the first time.
func CheckReplays(t testing.TB, base string, finals map[string]Final) {
	t.Helper()
	left := 100
	for key, f := range finals {
		if !f.Answer.Taken() && !f.Answer.Refused() {
			continue
		}
		again := Post(t.Context(), base, Path(&f.Command), Data(&f.Command), key)
		if !again.Replayed || again.Status != f.Answer.Status || again.Taken() && again.Body != f.Answer.Body {
			t.Errorf("%s was answered\n%d %s and later\n%d %s (%v)", key, f.Answer.Status, f.Answer.Body, again.Status, again.Body, again.Err)
		}
		if left--; left == 0 {
			return
		}
	}
}

// CheckViews holds the views that a process answers from against the books, item by item, once they are up to date.
func CheckViews(t testing.TB, b *books.Books, base string, limit time.Duration) {
	t.Helper()
	var items []books.Account
	Within(t, limit, "the views of "+base+" are up to date", func(ctx context.Context) error {
		items = nil
		for cursor := ""; ; {
			var page struct {
				Items []books.Account
				Next  string
			}
			if err := Get(ctx, fmt.Sprintf("%s/v1/accounts?limit=1000&minPosition=%d%s", base, b.Head, cursor), &page); err != nil {
				return err
			}
			if items = append(items, page.Items...); page.Next == "" {
				return nil
			}
			cursor = "&cursor=" + page.Next
		}
	})
	if b.After > 0 { // those that were there before are not in these books
		items = slices.DeleteFunc(items, func(a books.Account) bool { return b.Accounts[a.ID] == nil })
	}
	if len(items) != len(b.Accounts) {
		t.Errorf("%s shows %d accounts of %d", base, len(items), len(b.Accounts))
	}
	for _, got := range items {
		want := b.Accounts[got.ID]
		if want == nil || got != *want {
			t.Errorf("%s shows\n%+v instead of\n%+v", base, got, want)
			continue
		}
		var one books.Account
		if err := Get(t.Context(), fmt.Sprintf("%s/v1/accounts/%s?minPosition=%d", base, got.ID, b.Head), &one); err != nil || one != *want {
			t.Errorf("%s shows %+v instead of %+v (%v)", base, one, want, err)
		}
	}
}

// CheckRebuilt builds the views of a process again and checks that they are as they were. Nobody may write meanwhile.
func CheckRebuilt(t testing.TB, base string, limit time.Duration) {
	t.Helper()
	var operation string
	Within(t, limit, "a rebuild begins", func(ctx context.Context) (err error) {
		operation, err = operate(ctx, base+"/v1/admin/rebuild")
		return err
	})
	var op struct {
		State, Error string
		Views        []struct {
			Name, Digest, DigestBefore string
			Differences                []struct{ ID, Field, Old, New string }
		}
	}
	Within(t, limit, "the rebuild ends", func(ctx context.Context) error {
		if err := Get(ctx, base+operation, &op); err != nil || op.State == "running" {
			return fmt.Errorf("it is %s (%w)", op.State, err)
		}
		return nil
	})
	if op.State != "done" || len(op.Views) == 0 {
		t.Errorf("the rebuild of %s is %+v", base, op)
	}
	for _, v := range op.Views {
		if v.Digest != v.DigestBefore {
			t.Errorf("the view %s, built again, is another one: %+v", v.Name, v.Differences)
		}
	}
}

// operate asks for an operation and gives where it can be looked at.
func operate(ctx context.Context, url string) (location string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, http.NoBody)
	if err != nil {
		return "", err
	}
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	if text, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusAccepted {
		return "", fmt.Errorf("%s: %s (%w)", res.Status, text, err)
	}
	return res.Header.Get("Location"), nil
}

// CheckVerified runs the program's verify, with arguments. Of an embedded store the program must be stopped.
func CheckVerified(t testing.TB, p *Program, args ...string) {
	t.Helper()
	if out, err := p.Command(append([]string{"verify"}, args...)...).CombinedOutput(); err != nil {
		t.Errorf("verify %v: %v\n%s", args, err, out)
	}
}
