package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/spf13/cobra"

	"daybook/adapters/logfile"
	"daybook/app"
	"daybook/core/engine"
	"daybook/core/es"
)

func newExport() *cobra.Command {
	var server clientFlags
	cmd := &cobra.Command{
		Use: "export FILE", Short: "Write the whole ledger to a file, to be moved into another store",
		Long: `Write the whole ledger to a file: every event as it is stored, with its position and hash, and the outcomes of commands, so that
retries are known in the new store, too. What is written meanwhile is left out. A name that ends in .zst is compressed; "-" is
standard output. It opens the configured store, or, while a server has that, asks the server with --server.`,
		Example: `  daybook export ledger.ndjson.zst --store.pebble.path ./daybook-data
  daybook export ledger.ndjson.zst --server http://127.0.0.1:8080`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := stopSignals(cmd.Context())
			defer stop()
			l, err := exportTo(ctx, cmd, &server, args[0])
			if err != nil {
				return err
			}
			say(cmd.ErrOrStderr(), "Exported up to position %d, hash %s\n", l.Head, l.Root)
			return nil
		},
	}
	server.addInstead(cmd, "the store")
	app.Flags(cmd.Flags())
	return cmd
}

// exportTo writes the file under another name first, so that half of it is never taken for all.
func exportTo(ctx context.Context, cmd *cobra.Command, server *clientFlags, name string) (engine.Ledger, error) {
	if name == "-" {
		return exportFrom(ctx, cmd, server, cmd.OutOrStdout())
	}
	f, err := os.Create(name + ".unfinished")
	if err != nil {
		return engine.Ledger{}, usageError{err}
	}
	defer func() { _ = os.Remove(f.Name()) }() // it has another name when all went well
	defer f.Close()
	out, end := io.Writer(f), func() error { return nil }
	if logfile.Packed(name) {
		packed, err := logfile.Pack(f)
		if err != nil {
			return engine.Ledger{}, err
		}
		out, end = packed, packed.Close
	}
	l, err := exportFrom(ctx, cmd, server, out)
	if err = errors.Join(err, end()); err != nil {
		return l, err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return l, err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return l, err
	}
	return l, syncFolder(filepath.Dir(name))
}

func syncFolder(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// exportFrom writes the lines, from a server or from the store.
func exportFrom(ctx context.Context, cmd *cobra.Command, server *clientFlags, out io.Writer) (engine.Ledger, error) {
	m := startMove(cmd, "export")
	defer m.stop()
	if server.server != "" {
		return exportFromServer(ctx, server, out, m)
	}
	ledger, err := openLedger(cmd)
	if err != nil {
		return engine.Ledger{}, err
	}
	l, err := engine.Export(ctx, ledger.Store, measuredWriter{logfile.NewWriter(out), m})
	return l, errors.Join(err, ledger.Close())
}

// exportFromServer checks the lines while it writes them: an answer that breaks off is an error.
func exportFromServer(ctx context.Context, server *clientFlags, out io.Writer, m *move) (engine.Ledger, error) {
	client, err := server.open()
	if err != nil {
		return engine.Ledger{}, err
	}
	defer client.Close()
	lines, err := client.Export(ctx)
	if err != nil {
		return engine.Ledger{}, err
	}
	defer lines.Close()
	r, err := logfile.NewReader(io.TeeReader(lines, out))
	if err != nil {
		return engine.Ledger{}, err
	}
	m.total.Store(int64(r.Ledger().Head))
	return r.Ledger(), r.Check(ctx, m.at)
}

// move is how far a ledger is on its way.
type move struct {
	*meter
	done, total atomic.Int64
}

func startMove(cmd *cobra.Command, what string) *move {
	m := &move{}
	m.meter = startMeter(cmd.ErrOrStderr(), what, "events", func() (int64, int64, int64) {
		return m.done.Load(), m.total.Load(), m.done.Load()
	})
	return m
}

func (m *move) at(p es.Position) { m.done.Store(int64(p)) }

// measuredWriter notes how far the export is.
type measuredWriter struct {
	engine.LogWriter
	move *move
}

func (w measuredWriter) Begin(l engine.Ledger) error {
	w.move.total.Store(int64(l.Head))
	return w.LogWriter.Begin(l)
}

func (w measuredWriter) Event(e *es.Recorded) error {
	w.move.at(e.Position)
	return w.LogWriter.Event(e)
}
