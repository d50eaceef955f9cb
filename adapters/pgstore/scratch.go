package pgstore

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// ScratchPrefix begins the names of schemas that may be removed.
const ScratchPrefix = "daybook_scratch_"

// scratchWithin is how long the removal of a schema may take.
const scratchWithin = 30 * time.Second

// RemoveScratch removes the schema of a store that was made to be thrown away, and all that is in it. The store must be closed. It refuses
// every schema whose name does not begin with ScratchPrefix.
func RemoveScratch(ctx context.Context, o Options) error {
	if !strings.HasPrefix(o.Schema, ScratchPrefix) {
		return errOptions.Say("%q is no scratch schema, and is not removed.", o.Schema)
	}
	pool, err := o.check()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, scratchWithin)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, pool.ConnConfig)
	if err == nil {
		_, err = conn.Exec(ctx, `DROP SCHEMA IF EXISTS `+pgx.Identifier{o.Schema}.Sanitize()+` CASCADE`)
		_ = conn.Close(ctx) // what it was for has been answered
	}
	if err != nil {
		return errOptions.Say("The scratch schema %s of %s could not be removed: drop it by hand.", o.Schema, placeOf(pool.ConnConfig)).Because(err)
	}
	return nil
}
