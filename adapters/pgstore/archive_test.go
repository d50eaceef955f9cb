package pgstore

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
	"daybook/test/contract"
	"daybook/test/servers"
)

// filled gives a store with n events, and these.
func filled(t *testing.T, o Options, n int) (*Store, []es.Recorded) {
	t.Helper()
	s := open(t, o)
	for range n {
		mustWrite(t, s)
	}
	return s, feed(t, s, n)
}

// A trigger of the test's own stands in the way of the step that would move the archived position past 20.
func TestAForgettingThatIsCutShortHasForgottenWhatArchivedSays(t *testing.T) {
	for what, c := range map[string]struct {
		inTheWay string
		want     *fault.Fault
	}{
		"by a lock":                 {`RAISE EXCEPTION 'busy' USING ERRCODE = 'lock_not_available'`, ports.ErrStoreUnavailable},
		"by the end of its session": {`PERFORM pg_terminate_backend(pg_backend_pid())`, ports.ErrStoreUnavailable},
		"by a full disk":            {`RAISE EXCEPTION 'no room' USING ERRCODE = 'disk_full'`, ports.ErrStoreFull},
	} {
		t.Run(what, func(t *testing.T) {
			s, all := filled(t, Options{forgetStep: 10}, 50)
			conn := connect(t, servers.Postgres(t))
			run := func(statement string) {
				t.Helper()
				if _, err := conn.Exec(patience(t), inSchema(statement, s.options.Schema)); err != nil {
					t.Fatal(err)
				}
			}
			run(`CREATE FUNCTION daybook.stop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.position > 20 THEN ` + c.inTheWay + `; END IF; RETURN NEW; END $$`)
			run(`CREATE TRIGGER stop BEFORE UPDATE ON daybook.archived FOR EACH ROW EXECUTE FUNCTION daybook.stop()`)
			if err := s.Forget(patience(t), 45); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %s", err, c.want.Code)
			}
			for _, s := range []*Store{s, open(t, Options{Schema: s.options.Schema})} {
				contract.WantForgotten(t, s, all, 20)
			}
			run(`DROP TRIGGER stop ON daybook.archived`)
			if err := s.Forget(patience(t), 45); err != nil {
				t.Fatal(err)
			}
			contract.WantForgotten(t, s, all, 45)
		})
	}
}

func TestSeveralProcessesWhoForgetAtOnceForgetOnce(t *testing.T) {
	s, all := filled(t, Options{forgetStep: 3}, 60)
	other := open(t, Options{Schema: s.options.Schema, forgetStep: 4})
	var wg sync.WaitGroup
	for i, of := range []*Store{s, other, s, other} {
		wg.Go(func() {
			if err := of.Forget(patience(t), es.Position(50+i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	contract.WantForgotten(t, s, all, 53)
	contract.WantForgotten(t, other, all, 53)
}

func TestWhatAnotherProcessForgotIsSoonForgottenHere(t *testing.T) {
	s, all := filled(t, Options{}, 20) // and has the last events in memory
	if err := open(t, Options{Schema: s.options.Schema}).Forget(patience(t), 15); err != nil {
		t.Fatal(err)
	}
	if p, err := s.Archived(patience(t)); err != nil || p != 15 { // at once, whatever was heard
		t.Errorf("archived is %d, %v", p, err)
	}
	contract.WantForgotten(t, s, all, 15)

	if err := open(t, Options{Schema: s.options.Schema}).Forget(patience(t), 18); err != nil {
		t.Fatal(err)
	}
	if err := s.archived.Wait(patience(t), 18); err != nil { // without asking
		t.Fatal(err)
	}
	contract.WantForgotten(t, s, all, 18)
}

func TestEventsFromOutsideAreSealedBeforeTheyAreForgotten(t *testing.T) {
	s, _ := filled(t, Options{}, 3)
	if _, err := connect(t, servers.Postgres(t)).Exec(patience(t), inSchema(outside, s.options.Schema), "x", 20); err != nil {
		t.Fatal(err)
	}
	if err := s.Forget(patience(t), 10); err != nil {
		t.Fatal(err)
	}
	rest, err := s.ReadFeed(patience(t), 10, 100)
	if err != nil || len(rest) != 13 {
		t.Fatalf("%d events, %v", len(rest), err)
	}
	before := es.Hash{}
	for i, e := range append(readStream(t, s, "x", 6), rest...) {
		if i > 0 && e.HashAfter(before) != e.Hash {
			t.Errorf("version %d of x is not bound to the one before", e.Version)
		}
		before = e.Hash
	}
	mustWrite(t, s)
	wantHead(t, s, 24)
}

// readStream reads one version.
func readStream(t *testing.T, s *Store, stream es.StreamID, after es.Version) []es.Recorded {
	t.Helper()
	events, err := s.ReadStream(patience(t), stream, after, 1)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func TestAnEventThatIsEmptyAndWasNotArchivedIsDamage(t *testing.T) {
	s, _ := filled(t, Options{}, 20)
	if err := s.Forget(patience(t), 5); err != nil {
		t.Fatal(err)
	}
	change := func(statement string) {
		t.Helper()
		err := pgx.BeginFunc(patience(t), connect(t, servers.Postgres(t)), func(tx pgx.Tx) error {
			_, err := tx.Exec(patience(t), inSchema(`SET LOCAL daybook.archive = 'on'; `+statement, s.options.Schema))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	wantDamaged := func(what string, err error, words string) {
		t.Helper()
		if !errors.Is(err, errDamaged) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: got %v, which does not say %q", what, err, words)
		}
	}
	change(`UPDATE daybook.events SET data = '' WHERE position = 9`)
	fresh := open(t, Options{Schema: s.options.Schema})
	_, err := fresh.ReadFeed(patience(t), 0, 10)
	wantDamaged("feed", err, "position 9 is empty, and only those up to 5")
	_, err = fresh.ReadStream(patience(t), "s9", 0, 10)
	wantDamaged("stream", err, "position 9 is empty")
	_, err = fresh.Begin(patience(t), ports.Needs{Streams: []ports.StreamNeed{{Stream: "s9"}}})
	wantDamaged("begin", err, "position 9 is empty")
	mustWrite(t, fresh) // which another stream does not mind

	change(`DELETE FROM daybook.events WHERE position = 7`)
	wantDamaged("forget", fresh.Forget(patience(t), 12), fmt.Sprintf("Of the %d events at positions 6 to 12 only 6 are there", 7))
	if p, err := fresh.Archived(patience(t)); err != nil || p != 5 {
		t.Errorf("archived is %d, %v", p, err)
	}
}
