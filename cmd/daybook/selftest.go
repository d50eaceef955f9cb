package main

import (
	"fmt"
	"os"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"daybook/app"
	"daybook/app/selftest"
)

func newSelftest() *cobra.Command {
	var f format
	var asJSON bool
	cmd := &cobra.Command{
		Use: "selftest", Short: "Try what Daybook promises on a scratch ledger, and show what came of it",
		Long: `Try what Daybook promises on a scratch ledger of the configured store: a folder beside the embedded store, a schema of its own in
PostgreSQL, or memory. It is removed afterwards; the configured ledger is not touched and may be in use. Each promise is tried with
the real engine and the real store; views and messages are in memory. The exit code is 1 if any of them does not hold.`,
		Example: `  daybook selftest
  daybook selftest --config configs/production.yaml
  daybook selftest --store.driver memory --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, _, err := app.Load(cmd.Flags(), os.Environ())
			if err != nil {
				return err
			}
			ctx, stop := stopSignals(cmd.Context())
			defer stop()
			if asJSON {
				f.name = "json"
			}
			results, err := app.SelfTest(ctx, c, app.NewLogger(c, cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			return showProofs(cmd, &f, c.Store.Driver, results)
		},
	}
	f.add(cmd, "table", "json", "ndjson")
	cmd.Flags().BoolVar(&asJSON, "json", false, "the same as -o json")
	app.Flags(cmd.Flags())
	return cmd
}

// showProofs prints what came of the proofs; its error says that some failed.
func showProofs(cmd *cobra.Command, f *format, driver string, results []selftest.Result) error {
	l := newList(cmd.OutOrStdout(), f, column{"", "word", 7}, column{"guarantee", "guarantee", 0}, column{"tried", "tried", 0},
		column{"result", "result", 0}, column{"ms", "milliseconds", 4})
	held, failed := 0, 0
	for i := range results {
		r := shownResult{Result: results[i], Word: "holds"}
		switch {
		case !r.OK:
			failed++
			r.Word = "FAILED"
		case r.Skipped:
			r.Word = "skipped"
		default:
			held++
		}
		item, err := json.Marshal(r)
		if err != nil {
			return err
		}
		if err := l.add(jsontext.Value(item)); err != nil {
			return err
		}
	}
	if err := l.end(); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d guarantees do not hold on store.driver %s", failed, len(results), driver)
	}
	var took time.Duration
	for i := range results {
		took += results[i].Took
	}
	say(cmd.ErrOrStderr(), "%d guarantees hold on store.driver %s (%v).\n", held, driver, took.Round(time.Millisecond))
	return nil
}

// shownResult is a result with the word for it.
type shownResult struct {
	Word string `json:"word"`
	selftest.Result
}
