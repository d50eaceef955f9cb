package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"daybook/adapters/apiclient"
)

func newRebuild() *cobra.Command {
	var flags clientFlags
	var f format
	cmd := &cobra.Command{
		Use: "rebuild", Short: "Build all views again from the events, and wait until they are ready",
		Long: `Build all views again from the events, and wait until they are ready. Readers are answered from the old ones until the
new ones take their place; both are compared, and what differed is shown. Ctrl-C ends the waiting, not the rebuild.`,
		Example: "  daybook rebuild",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := flags.open()
			if err != nil {
				return err
			}
			defer client.Close()
			op, err := rebuild(cmd, client)
			if err != nil {
				return err
			}
			if f.name != "table" {
				return printObject(cmd.OutOrStdout(), &f, op.raw)
			}
			say(cmd.OutOrStdout(), "The views are built again from %d events.\n", op.Head)
			op.report(cmd.OutOrStdout())
			return nil
		},
	}
	flags.add(cmd)
	f.add(cmd, "table", "json", "ndjson")
	return cmd
}

// operation is long work of the server.
type operation struct {
	ID       string `json:"id"`
	State    string `json:"state"`
	Position int64  `json:"position"`
	Head     int64  `json:"head"`
	Error    string `json:"error"`
	Views    []struct {
		Name        string `json:"name"`
		Digest      string `json:"digest"`
		Before      string `json:"digestBefore"`
		Same        int    `json:"same"`
		Added       int    `json:"added"`
		Removed     int    `json:"removed"`
		Changed     int    `json:"changed"`
		Differences []struct {
			ID    string `json:"id"`
			Field string `json:"field"`
			Old   string `json:"old"`
			New   string `json:"new"`
		} `json:"differences"`
	} `json:"views"`

	raw jsontext.Value
}

// report tells how the views differ from what they were.
func (op *operation) report(w io.Writer) {
	for _, v := range op.Views {
		if v.Digest == v.Before {
			say(w, "%s: all %d documents are as they were, digest %s.\n", v.Name, v.Same, v.Digest)
			continue
		}
		say(w, "%s: %d documents are as they were, %d added, %d removed, %d changed.\n", v.Name, v.Same, v.Added, v.Removed, v.Changed)
		say(w, "  digest %s, before %s\n", v.Digest, v.Before)
		for _, d := range v.Differences {
			say(w, "  %s %s: %q, now %q\n", d.ID, d.Field, d.Old, d.New)
		}
	}
}

func readOperation(raw jsontext.Value) (operation, error) {
	op := operation{raw: raw}
	if err := json.Unmarshal(raw, &op); err != nil || op.ID == "" {
		return op, fmt.Errorf("the server answers with something that is no operation: %.100q", raw)
	}
	return op, nil
}

// pollEvery is how often the server is asked how far it is.
const pollEvery = 200 * time.Millisecond

// rebuild starts the work and follows it to its end.
func rebuild(cmd *cobra.Command, client *apiclient.Client) (operation, error) {
	ctx, stop := stopSignals(cmd.Context())
	defer stop()
	raw, err := client.Post(ctx, "/v1/admin/rebuild")
	if err != nil {
		return operation{}, err
	}
	op, err := readOperation(raw)
	if err != nil {
		return op, err
	}
	var position, head atomic.Int64
	m := startMeter(cmd.ErrOrStderr(), "rebuild", "events", func() (int64, int64, int64) {
		return position.Load(), head.Load(), position.Load()
	})
	defer m.stop()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		position.Store(op.Position)
		head.Store(op.Head)
		switch op.State {
		case "done":
			return op, nil
		case "failed":
			return op, fmt.Errorf("the rebuild failed after %d of %d events: %s", op.Position, op.Head, op.Error)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
		raw, err := client.Get(ctx, "/v1/admin/operations/"+op.ID, nil)
		switch {
		case errors.Is(err, context.Canceled):
			return op, errors.New("no longer waiting; the rebuild goes on, and GET /v1/status shows how far it is")
		case err != nil:
			return op, err
		}
		if op, err = readOperation(raw); err != nil {
			return op, err
		}
	}
}
