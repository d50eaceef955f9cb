package pgstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"daybook/core/fault"
	"daybook/core/ports"
)

// errDamaged: what is in the database is not what was written.
var errDamaged = fault.New(fault.Internal, "store_damaged", "A part of the store is damaged and cannot be read.")

// meaning is what an error of the server means for a caller.
type meaning struct {
	fault *fault.Fault
	words string // after "The database"; nothing of the driver's own
}

// meanings by SQLSTATE, or by its class. Unavailable means always: nothing was written, a retry is safe.
var meanings = map[string]meaning{
	"40001": {ports.ErrStoreUnavailable, "was busy with a transaction that was in the way"},
	"40P01": {ports.ErrStoreUnavailable, "ended a transaction because of a deadlock"},
	"55P03": {ports.ErrStoreUnavailable, "was kept busy by another process that holds the write lock"},
	"57014": {ports.ErrStoreUnavailable, "took too long over a statement, which was cancelled"},
	"25P03": {ports.ErrStoreUnavailable, "ended the unit of work because it was left open for too long"},
	"25P02": {ports.ErrStoreUnavailable, "has given up the transaction"},
	"25006": {ports.ErrStoreUnavailable, "is read-only: it is a standby, or was set so by its operator"},
	"57P01": {ports.ErrStoreUnavailable, "is being restarted, or its operator ended the session"},
	"57P02": {ports.ErrStoreUnavailable, "has crashed and is recovering"},
	"57P03": {ports.ErrStoreUnavailable, "is starting up"},
	"57P04": {ports.ErrStoreUnavailable, "has been dropped"},
	"57P05": {ports.ErrStoreUnavailable, "ended an idle session"},
	"53100": {ports.ErrStoreFull, "has no room left on its disk: nothing was written. Reads go on; writes come back when there is room"},
	"53200": {ports.ErrStoreUnavailable, "is out of memory"},
	"53300": {ports.ErrStoreUnavailable, "has too many connections: raise its max_connections, or lower pool_max_conns in the URLs of its clients"},
	"53":    {ports.ErrStoreUnavailable, "is short of resources"},
	"08":    {ports.ErrStoreUnavailable, "lost the connection"},
	"28":    {ports.ErrStoreUnavailable, "does not let us in: check user, password and pg_hba.conf"},
	"3D000": {ports.ErrStoreUnavailable, "does not exist: create it first"},
	"42501": {ports.ErrStoreUnavailable, "does not permit this to our user: grant it, or let the user own the schema"},
	"XX001": {errDamaged, "has found damaged data"},
	"XX002": {errDamaged, "has found a damaged index: REINDEX may help"},
	"58":    {errDamaged, "could not read or write its files"},
	"22":    {ports.ErrBatchRefused, "does not take a value of the batch: nothing was written"},
	"23":    {ports.ErrBatchRefused, "does not take the batch: nothing was written"},
}

// failed turns an error of the driver into a fault. Only its cause, which logs show and clients do not, is the driver's.
func (s *Store) failed(ctx context.Context, err error) error {
	if s.life.Err() != nil {
		return ports.ErrStoreClosed
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var own *fault.Fault
	if errors.As(err, &own) {
		return err
	}
	var known *pgconn.PgError
	if !errors.As(err, &known) {
		if errors.Is(err, context.DeadlineExceeded) {
			return ports.ErrStoreUnavailable.Say("The database did not answer in time; nothing was done.").Because(s.at(err))
		}
		return ports.ErrStoreUnavailable.Say("The database cannot be reached right now; nothing was done.").Because(s.at(err))
	}
	for _, code := range []string{known.Code, known.Code[:min(2, len(known.Code))]} {
		if m, ok := meanings[code]; ok {
			return m.fault.Say("The database %s.", m.words).Because(s.at(err))
		}
	}
	return fault.New(fault.Internal, "store_failed", fmt.Sprintf("The database refused a statement of the store (SQLSTATE %s).", known.Code)).Because(s.at(err))
}

// at says in a cause which database is meant: clients are not told where it is.
func (s *Store) at(err error) error { return fmt.Errorf("%s: %w", s.place, err) }

// lost reports whether the error is of the connection or the server, so that another connection may do better.
func lost(err error) bool {
	var own *fault.Fault
	if errors.As(err, &own) || errors.Is(err, context.Canceled) {
		return false
	}
	var known *pgconn.PgError
	if !errors.As(err, &known) {
		return true
	}
	switch known.Code {
	case "57P01", "57P02", "57P03", "57P05", "25P03", "25006", "53300":
		return true
	}
	return known.Code[:min(2, len(known.Code))] == "08"
}

// certain reports whether an answer to a commit shows that nothing was committed: the server refused a statement, and said
// so without ending the session, or it ended the session because it was idle before the commit came.
func certain(err error) bool {
	var known *pgconn.PgError
	if !errors.As(err, &known) {
		return false
	}
	if known.Code == "25P03" {
		return true
	}
	return known.SeverityUnlocalized == "ERROR" && known.Code != "40003" && known.Code[:min(2, len(known.Code))] != "08"
}

// reason is the short form of an error, without what pgx says about the connection.
func reason(err error) string {
	var known *pgconn.PgError
	if errors.As(err, &known) {
		return known.Message
	}
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err.Error()
		}
		err = next
	}
}
