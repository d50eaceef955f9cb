package cluster

import (
	"context"
	"fmt"
	"testing"
	"time"

	"daybook/test/books"
)

// ReadBooks reads the whole store through a process. What does not hold fails the test.
func ReadBooks(t testing.TB, base string) *books.Books {
	t.Helper()
	var events []books.Event
	for after := "0"; after != ""; {
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
	return books.Open(events, t.Errorf)
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
