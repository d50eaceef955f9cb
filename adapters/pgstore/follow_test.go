package pgstore

import (
	"context"
	"strings"
	"testing"
	"time"

	"daybook/core/es"
	"daybook/core/ports"
	"daybook/test/faulttable"
	"daybook/test/servers"
)

func waitFor(t *testing.T, s ports.Store, past es.Position) time.Duration {
	t.Helper()
	began := time.Now()
	if err := s.Wait(patience(t), past); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

func TestTheCommitsOfOtherProcessesAreSeenAlsoAfterTheListeningConnectionWasLost(t *testing.T) {
	noLeaks(t)
	p, url := through(t)
	warned := make(chan string, 100)
	s := open(t, Options{URL: url, Logf: func(format string, _ ...any) { warned <- format }})
	other := open(t, Options{Schema: s.options.Schema})
	for n := range es.Position(5) {
		mustWrite(t, other)
		waitFor(t, s, n)
	}
	p.shut(true)
	p.cut()
	mustWrite(t, other)
	p.shut(false)
	t.Logf("seen %v after the connection could be made again", waitFor(t, s, 5).Round(time.Millisecond))
	for said := range warned {
		if strings.Contains(said, "listens for commits was lost") {
			break
		}
	}
	_ = other.Close()
	_ = s.Close()
}

func TestWithoutNotificationsCommitsAreSeenWithinTheTimeOfAPoll(t *testing.T) {
	s := open(t, Options{})
	other := open(t, Options{Schema: s.options.Schema})
	other.sql.notify = `SELECT $1::text` // as through a pooler
	mustWrite(t, other)
	waitFor(t, s, 0)
}

func TestOldBatchesAndRefusalsAreForgottenAndNothingElse(t *testing.T) {
	faulttable.Covers(t, "F48", faulttable.PostgreSQL)
	s := open(t, Options{})
	mustWrite(t, s)
	u, err := s.Begin(patience(t), ports.Needs{})
	if err != nil {
		t.Fatal(err)
	}
	batch := next(u)
	last := batch.Events[0].RecordedAt
	batch.Outcomes = []ports.Outcome{
		{Key: "old refusal", Refusal: true, RecordedAt: last.Add(-ports.RefusalsKept - time.Second)},
		{Key: "young refusal", Refusal: true, RecordedAt: last.Add(-ports.RefusalsKept)},
		{Key: "old success", RecordedAt: last.Add(-9 * ports.RefusalsKept)},
	}
	if err := u.Commit(patience(t), batch); err != nil {
		t.Fatal(err)
	}
	execute(t, servers.Postgres(t), inSchema(`UPDATE daybook.batches SET committed_at = committed_at - interval '11 minutes' WHERE position = 1`, s.options.Schema))
	if err := s.forget(patience(t)); err != nil {
		t.Fatal(err)
	}
	for key, kept := range map[string]bool{"old refusal": false, "young refusal": true, "old success": true, "key of s1": true} {
		if o, err := s.Outcome(patience(t), key); err != nil || (o != nil) != kept {
			t.Errorf("%s: %v, %v", key, o, err)
		}
	}
	var batches int
	if err := connect(t, servers.Postgres(t)).QueryRow(context.Background(), inSchema(`SELECT count(*) FROM daybook.batches`, s.options.Schema)).Scan(&batches); err != nil || batches != 1 {
		t.Errorf("%d batches are kept, %v", batches, err)
	}
}
