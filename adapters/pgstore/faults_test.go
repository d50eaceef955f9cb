package pgstore

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"daybook/core/fault"
	"daybook/core/ports"
	"daybook/test/faulttable"
	"daybook/test/servers"
)

func TestEveryErrorOfTheServerIsATypedFaultInOurWords(t *testing.T) {
	faulttable.Covers(t, "F28", faulttable.PostgreSQL)
	s := &Store{place: `database "ledger" at db:5432`, life: context.Background()}
	for code, want := range map[string]struct {
		err           *fault.Fault
		lost, certain bool
	}{
		"40001": {ports.ErrStoreUnavailable, false, true}, // serialization failure
		"40P01": {ports.ErrStoreUnavailable, false, true}, // deadlock
		"55P03": {ports.ErrStoreUnavailable, false, true}, // lock timeout
		"57014": {ports.ErrStoreUnavailable, false, true}, // statement timeout
		"25P03": {ports.ErrStoreUnavailable, true, true},  // idle in transaction
		"25006": {ports.ErrStoreUnavailable, true, true},  // read-only
		"57P01": {ports.ErrStoreUnavailable, true, false}, // shut down or terminated
		"57P02": {ports.ErrStoreUnavailable, true, false}, // crashed
		"57P03": {ports.ErrStoreUnavailable, true, true},  // starting up
		"08006": {ports.ErrStoreUnavailable, true, false}, // connection failure
		"08007": {ports.ErrStoreUnavailable, true, false}, // resolution unknown
		"53100": {ports.ErrStoreFull, false, true},        // disk full
		"53200": {ports.ErrStoreUnavailable, false, true}, // out of memory
		"53300": {ports.ErrStoreUnavailable, true, true},  // too many connections
		"53400": {ports.ErrStoreUnavailable, false, true}, // a limit of the configuration
		"28P01": {ports.ErrStoreUnavailable, false, true}, // wrong password
		"3D000": {ports.ErrStoreUnavailable, false, true}, // no such database
		"42501": {ports.ErrStoreUnavailable, false, true}, // no privilege
		"58030": {errDamaged, false, true},                // input or output
		"XX001": {errDamaged, false, true},                // damaged data
		"22021": {ports.ErrBatchRefused, false, true},     // not text
		"23505": {ports.ErrBatchRefused, false, true},     // unique
		"42P01": {fault.New(fault.Internal, "store_failed", ""), false, true},
	} {
		severity := "ERROR"
		if code == "25P03" || strings.HasPrefix(code, "57P0") && code != "57P03" {
			severity = "FATAL"
		}
		raw := &pgconn.PgError{Code: code, SeverityUnlocalized: severity, Message: "driver's own words"}
		got := s.failed(context.Background(), raw)
		if !errors.Is(got, want.err) || fault.KindOf(got) != want.err.Kind {
			t.Errorf("%s is %v, want %v", code, got, want.err.Code)
		}
		if msg := fault.Of(got).Msg; strings.Contains(msg, s.place) || strings.Contains(msg, "driver") || !strings.Contains(got.Error(), s.place) {
			t.Errorf("%s says %q", code, msg)
		}
		if lost(raw) != want.lost || certain(raw) != want.certain {
			t.Errorf("%s: lost is %v, certain is %v", code, lost(raw), certain(raw))
		}
	}
	for _, raw := range []error{io.ErrUnexpectedEOF, context.DeadlineExceeded} {
		if got := s.failed(context.Background(), raw); !errors.Is(got, ports.ErrStoreUnavailable) || !lost(raw) || certain(raw) {
			t.Errorf("%v is %v", raw, got)
		}
	}
}

func TestADatabaseThatCannotBeReachedIsNamedWithoutItsPassword(t *testing.T) {
	real := servers.Postgres(t)
	for what, c := range map[string]struct{ url, want string }{
		"nobody listens":        {"postgres://u:s3cret@127.0.0.1:1/ledger?sslmode=disable", `database "ledger" at 127.0.0.1:1 cannot be reached`},
		"several hosts":         {"postgres://u:s3cret@127.0.0.1:1,127.0.0.1:2/ledger?sslmode=disable", `at 127.0.0.1:1, 127.0.0.1:2`},
		"wrong password":        {strings.Replace(real, ":daybook@", ":s3cret@", 1), "check user, password"},
		"no such database":      {strings.Replace(real, "/daybook?", "/s3cret?", 1), "does not exist"},
		"not a URL":             {"postgres://u:s3cret@host:port/x", "cannot be read"},
		"a mode that cannot be": {real + "&default_query_exec_mode=simple_protocol", "cache_describe"},
	} {
		o := Options{URL: c.url, StartTimeout: 10 * time.Second} // a server that answers is given time
		if strings.Contains(c.url, "@127.0.0.1:1/") || strings.Contains(c.url, "@127.0.0.1:1,") {
			o.StartTimeout = 300 * time.Millisecond
		}
		_, err := Open(patience(t), o)
		if err == nil || !strings.Contains(fault.Of(err).Msg, c.want) {
			t.Errorf("%s: got %v", what, err)
			continue
		}
		if said := err.Error(); what != "no such database" && strings.Contains(said, "s3cret") {
			t.Errorf("%s: the password is in %q", what, said)
		}
	}
	if _, err := Open(patience(t), Options{URL: real, Schema: `a"; DROP`}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a schema that is no plain name: %v", err)
	}
}

func TestWhenAllConnectionsAreInUseAReadIsRefusedAfterAWhile(t *testing.T) {
	faulttable.Covers(t, "F29", faulttable.PostgreSQL)
	s := open(t, Options{MaxConns: 4})
	for range 2 {
		conn, err := s.readers.Acquire(patience(t))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Release()
	}
	if _, err := s.Head(patience(t)); !errors.Is(err, ports.ErrStoreUnavailable) || !strings.Contains(fault.Of(err).Msg, "in use") {
		t.Errorf("got %v", err)
	}
	mustWrite(t, s) // the writer's connection is its own
}

func TestADatabaseSetReadOnlyRefusesWritesServesReadsAndComesBack(t *testing.T) {
	url := servers.PostgresDatabase(t)
	s := open(t, Options{URL: url})
	mustWrite(t, s)
	name := url[strings.LastIndex(url, "/")+1 : strings.LastIndex(url, "?")]
	execute(t, url, `ALTER DATABASE `+name+` SET default_transaction_read_only = on`)
	s.writing.Lock()
	s.dropWriter() // the setting is for new sessions
	s.writing.Unlock()
	s.readers.Reset()
	if err := write(patience(t), s); !errors.Is(err, ports.ErrStoreUnavailable) || !strings.Contains(fault.Of(err).Msg, "read-only") {
		t.Errorf("got %v", err)
	}
	wantHead(t, s, 1)
	execute(t, servers.Postgres(t), `ALTER DATABASE `+name+` RESET default_transaction_read_only`)
	mustWrite(t, s)
	wantHead(t, s, 2)
}
