package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"daybook/adapters/notary"
	"daybook/app"
	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
)

// verification is what `verify` was asked for.
type verification struct {
	clientFlags
	format      format
	checkpoints []string // files
	key         string
	resume      string
	access      bool
	archive     ports.Archive // nil: none
}

func newVerify() *cobra.Command {
	var v verification
	cmd := &cobra.Command{
		Use: "verify", Short: "Check that nothing that was ever written has been changed",
		Long: `Check every event's hash, every stream's chain, the seal over the whole store, and checkpoints that were kept elsewhere.
The first thing that is wrong is named, with exit code 7. Without --server the configured store is opened: an embedded one must
not be in use. What was moved to the archive is read there, and every file of the archive is checked whole. With --server everything is checked here, from what the server shows.

With --resume what was verified is noted in a file: when the work is interrupted, the same again goes on there, and later it
checks only what is new. Remove the file to check everything again.

With --access the access ledger is checked instead: keys and the audit log, which have a store of their own, and checkpoints of
their own, which are kept beside the others (checkpoints.access).`,
		Example: `  daybook verify                                          # the configured store, and the checkpoints kept beside it
  daybook verify --checkpoint ours.txt --key key.pub      # and those that we kept
  daybook verify --resume verified                        # only what is new since the last time
  daybook verify --access                                 # keys and the audit log
  daybook verify --server http://127.0.0.1:8080 --key key.pub
  daybook verify proof FILE --key key.pub                 # one event, without store and server`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if v.access && cmd.Flags().Changed("server") {
				return usageError{errors.New("--access is for the store that is configured here, not for what a server shows")}
			}
			if cmd.Flags().Changed("server") {
				return v.ofServer(cmd)
			}
			return v.ofStore(cmd)
		},
	}
	v.add(cmd)
	v.format.add(cmd, "table", "json", "ndjson")
	cmd.Flags().StringArrayVar(&v.checkpoints, "checkpoint", nil, "a file of checkpoints that were kept; may be given again")
	cmd.Flags().StringVar(&v.key, "key", "", "the public key that checks them, or a file that holds it; else the one of seal.path")
	cmd.Flags().StringVar(&v.resume, "resume", "", "a file that notes what was verified")
	cmd.Flags().BoolVar(&v.access, "access", false, "check the access ledger: keys and the audit log")
	app.Flags(cmd.Flags())
	cmd.AddCommand(newVerifyProof())
	return cmd
}

// ofStore verifies the store that the configuration names.
func (v *verification) ofStore(cmd *cobra.Command) error {
	c, _, err := app.Load(cmd.Flags(), os.Environ())
	if err != nil {
		return err
	}
	if c.Store.Driver == "memory" {
		return usageError{errors.New("the store in memory belongs to the process that has it: name that with --server")}
	}
	if v.access {
		return v.ofAccess(cmd, c)
	}
	notes, public, err := app.KeptCheckpoints(c, "")
	if err != nil {
		return err
	}
	run, err := v.prepare(notes, public)
	if err != nil {
		return err
	}
	if err := v.readResume(run); err != nil {
		return err
	}
	ledger, err := app.OpenLedger(c, app.NewLogger(c, cmd.ErrOrStderr()))
	if err != nil {
		return err
	}
	run.History, v.archive = engine.StoreHistory{Store: ledger.Store}, ledger.Archive
	return errors.Join(v.run(cmd, run), ledger.Close())
}

// ofAccess verifies the access ledger.
func (v *verification) ofAccess(cmd *cobra.Command, c app.Config) error {
	notes, public, err := app.KeptCheckpoints(c, app.AccessSuffix)
	if err != nil {
		return err
	}
	run, err := v.prepare(notes, public)
	if err == nil {
		err = v.readResume(run)
	}
	if err != nil {
		return err
	}
	store, err := app.OpenAccessStore(c, app.NewLogger(c, cmd.ErrOrStderr()))
	if err != nil {
		return err
	}
	run.History = engine.StoreHistory{Store: store}
	return errors.Join(v.run(cmd, run), store.Close())
}

// ofServer verifies what a server shows.
func (v *verification) ofServer(cmd *cobra.Command) error {
	if v.resume != "" {
		return usageError{errors.New("--resume is for a store that is opened here; what a server shows is always checked from the beginning")}
	}
	client, err := v.open()
	if err != nil {
		return err
	}
	defer client.Close()
	run, err := v.prepare(nil, "")
	if err != nil {
		return err
	}
	key, err := readKey(v.key)
	if err != nil {
		return err
	}
	run.History = &serverHistory{client: client, key: key}
	return v.run(cmd, run)
}

// prepare reads the checkpoints to be held against.
func (v *verification) prepare(notes []string, public string) (*engine.Verification, error) {
	run := &engine.Verification{}
	read := func(notes []string, key, from string) error {
		for _, n := range notes {
			c, err := checkpointOf(n, key)
			if err != nil {
				return fmt.Errorf("%s: %w", from, err)
			}
			if app.OfAccess(c) != v.access {
				return usageError{fmt.Errorf("%s: the checkpoint is of %q, which is not the ledger that is checked; --access is for the access ledger", from, c.Origin)}
			}
			run.Checkpoints = append(run.Checkpoints, c)
		}
		return nil
	}
	if err := read(notes, public, "the checkpoints of seal.path"); err != nil {
		return nil, &engine.TamperedError{What: "a checkpoint that was kept is not as it was signed", Err: err}
	}
	if len(v.checkpoints) == 0 {
		return run, nil
	}
	key, err := readKey(v.key)
	if err != nil {
		return nil, err
	}
	if key = cmp.Or(key, public); key == "" {
		return nil, usageError{errors.New("--checkpoint needs --key, the public key that was kept with it (the file key.pub of seal.path)")}
	}
	for _, file := range v.checkpoints {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, usageError{err}
		}
		kept := notary.Split(string(text))
		if len(kept) == 0 {
			return nil, usageError{fmt.Errorf("%s holds no checkpoint; daybook checkpoint prints one", file)}
		}
		if err := read(kept, key, file); err != nil {
			return nil, &engine.TamperedError{What: "a checkpoint is not as it was signed", Err: err}
		}
	}
	return run, nil
}

// readKey reads a public key that is given as it is, or as a file that holds it.
func readKey(given string) (string, error) {
	if given == "" || strings.Count(given, "+") == 2 && !strings.ContainsAny(given, "\n") {
		if _, err := os.Stat(given); err != nil {
			return given, nil
		}
	}
	text, err := os.ReadFile(given)
	if err != nil {
		return "", usageError{fmt.Errorf("--key: %w", err)}
	}
	return strings.TrimSpace(string(text)), nil
}

// checkpointOf reads a note and checks its signature.
func checkpointOf(signed, key string) (es.Checkpoint, error) {
	text, err := notary.Check(signed, key)
	if err != nil {
		return es.Checkpoint{}, err
	}
	return es.ParseCheckpoint(text)
}

// run verifies and says what it found.
func (v *verification) run(cmd *cobra.Command, run *engine.Verification) error {
	ctx, stop := stopSignals(cmd.Context())
	defer stop()
	before, held := run.Verified.Size, len(run.Checkpoints)
	var at, of atomic.Int64
	noted := time.Now()
	run.Progress = func(done, all es.Position) {
		at.Store(int64(done - before))
		of.Store(int64(all - before))
		if time.Since(noted) > lineEvery {
			noted = time.Now()
			_ = v.writeResume(run) // what cannot be noted now is said at the end
		}
	}
	m := startMeter(cmd.ErrOrStderr(), "verify", "events", func() (int64, int64, int64) { return at.Load(), of.Load(), at.Load() })
	err := run.Run(ctx)
	m.stop()
	if err == nil {
		err = v.files(ctx, cmd, before)
	}
	if noted := v.writeResume(run); err == nil {
		err = noted
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return fmt.Errorf("interrupted after %d events, all of them right", run.Verified.Size)
	}
	if err != nil {
		return err
	}
	if v.format.name != "table" {
		object, err := json.Marshal(struct {
			Events      es.Position `json:"events"`
			New         es.Position `json:"new"` // checked now
			Checkpoints int         `json:"checkpoints"`
			Root        string      `json:"root"`
		}{run.Verified.Size, run.Verified.Size - before, held, run.Verified.Root().String()})
		if err != nil {
			return err
		}
		return printObject(cmd.OutOrStdout(), &v.format, jsontext.Value(object))
	}
	say(cmd.OutOrStdout(), "All %d events are as they were written (%d checked now, held against %d checkpoints).\nTheir root is %s\n",
		run.Verified.Size, run.Verified.Size-before, held, run.Verified.Root())
	return nil
}

// files checks the files of the archive whole, unless only what is new is checked: events were read through them already, but not
// what lies between the events.
func (v *verification) files(ctx context.Context, cmd *cobra.Command, verified es.Position) error {
	if v.archive == nil || verified > 0 {
		return nil
	}
	end, err := v.archive.End(ctx)
	if err != nil {
		return err
	}
	var at atomic.Int64
	m := startMeter(cmd.ErrOrStderr(), "verify archive", "events", func() (int64, int64, int64) { return at.Load(), int64(end), at.Load() })
	defer m.stop()
	return v.archive.Check(ctx, func(p es.Position) { at.Store(int64(p)) })
}

// damage are the codes that say that what is stored is not what was written.
var damage = []string{"store_damaged", "archive_damaged", "seal_broken", "log_damaged"}

// isDamage reports whether an error says so.
func isDamage(err error) bool {
	var tampered *engine.TamperedError
	var f *fault.Fault
	return errors.As(err, &tampered) || errors.As(err, &f) && slices.Contains(damage, f.Code)
}
