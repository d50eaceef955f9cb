package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"daybook/adapters/logfile"
	"daybook/app"
	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/fault"
)

func newImportLog() *cobra.Command {
	cmd := &cobra.Command{
		Use: "import-log FILE", Short: "Write a ledger that was exported into the configured store",
		Long: `Write a ledger that was exported into the configured store: positions, times, hashes and the outcomes of commands are those of
the old store. The file is checked as a whole before anything is written; "-", standard input, is checked line by line.

The store must be empty, or hold the beginning of the same ledger: an import that was stopped goes on where it was. No server
may use the store meanwhile, and none starts on it until the import is finished.`,
		Example: `  daybook import-log ledger.ndjson.zst --store.driver postgres --store.postgres.url postgres://localhost/daybook`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := stopSignals(cmd.Context())
			defer stop()
			if args[0] != "-" {
				if err := checkLog(ctx, cmd, args[0]); err != nil {
					return err
				}
			}
			l, err := importLog(ctx, cmd, args[0])
			if err != nil {
				return err
			}
			say(cmd.OutOrStdout(), "Imported up to position %d, hash %s\n", l.Head, l.Root)
			return nil
		},
	}
	app.Flags(cmd.Flags())
	return cmd
}

// openLedger opens the store that the command line and the configuration name, and its archive.
func openLedger(cmd *cobra.Command) (app.Ledger, error) {
	c, _, err := app.Load(cmd.Flags(), os.Environ())
	if err != nil {
		return app.Ledger{}, err
	}
	if c.Store.Driver == "memory" {
		return app.Ledger{}, usageError{errors.New("the store in memory belongs to the process that has it: name another with --store.driver, or for an export the process with --server")}
	}
	return app.OpenLedger(c, app.NewLogger(c, cmd.ErrOrStderr()))
}

// openLog opens an exported file. The function it gives back closes it.
func openLog(cmd *cobra.Command, name string) (*logfile.Reader, func(), error) {
	in := io.NopCloser(cmd.InOrStdin())
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, nil, usageError{err}
		}
		in = f
	}
	end := func() { _ = in.Close() } // it was only read
	lines := io.Reader(in)
	if logfile.Packed(name) {
		unpacked, err := logfile.Unpack(in)
		if err != nil {
			end()
			return nil, nil, err
		}
		lines, end = unpacked, func() { _, _ = unpacked.Close(), in.Close() }
	}
	r, err := logfile.NewReader(lines)
	if err != nil {
		end()
		return nil, nil, named(name, err)
	}
	return r, end, nil
}

// named says which file an error is about.
func named(name string, err error) error {
	if errors.Is(err, logfile.ErrDamaged) {
		return fmt.Errorf("%s: %w", name, err)
	}
	return err
}

func checkLog(ctx context.Context, cmd *cobra.Command, name string) error {
	r, end, err := openLog(cmd, name)
	if err != nil {
		return err
	}
	defer end()
	m := startMove(cmd, "check")
	defer m.stop()
	m.total.Store(int64(r.Ledger().Head))
	return named(name, r.Check(ctx, m.at))
}

func importLog(ctx context.Context, cmd *cobra.Command, name string) (engine.Ledger, error) {
	r, end, err := openLog(cmd, name)
	if err != nil {
		return engine.Ledger{}, err
	}
	defer end()
	ledger, err := openLedger(cmd)
	if err != nil {
		return r.Ledger(), err
	}
	m := startMove(cmd, "import")
	defer m.stop()
	l, err := engine.Import(ctx, ledger.Store, r, func(done, total es.Position) {
		m.total.Store(int64(total))
		m.at(done)
	})
	if err = errors.Join(named(name, err), ledger.Close()); err != nil && fault.KindOf(err) == fault.Internal && ctx.Err() != nil {
		err = errors.New("stopped; the same command goes on where it was")
	}
	return l, err
}
