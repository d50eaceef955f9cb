package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"daybook/adapters/apiclient"
)

// operation is long work of the server.
type operation struct {
	ID       string `json:"id"`
	State    string `json:"state"`
	Position int64  `json:"position"`
	Head     int64  `json:"head"`
	HeldBack string `json:"heldBack"`
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

func readOperation(raw jsontext.Value) (operation, error) {
	op := operation{raw: raw}
	if err := json.Unmarshal(raw, &op); err != nil || op.ID == "" {
		return op, fmt.Errorf("the server answers with something that is no operation: %.100q", raw)
	}
	return op, nil
}

// pollEvery is how often the server is asked how far it is.
const pollEvery = 200 * time.Millisecond

// operate asks the server for the work and follows it to its end; what is the word for it.
func operate(cmd *cobra.Command, client *apiclient.Client, what, path string, query url.Values) (operation, error) {
	ctx, stop := stopSignals(cmd.Context())
	defer stop()
	raw, err := client.Post(ctx, path, query)
	if err != nil {
		return operation{}, err
	}
	op, err := readOperation(raw)
	if err != nil {
		return op, err
	}
	var position, head atomic.Int64
	m := startMeter(cmd.ErrOrStderr(), what, "events", func() (int64, int64, int64) {
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
			return op, fmt.Errorf("the %s failed after %d of %d events: %s", what, op.Position, op.Head, op.Error)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
		raw, err := client.Get(ctx, "/v1/admin/operations/"+apiclient.Segment(op.ID), nil)
		switch {
		case errors.Is(err, context.Canceled):
			return op, fmt.Errorf("no longer waiting; the %s goes on, and GET /v1/admin/operations/%s shows how far it is", what, op.ID)
		case err != nil:
			return op, err
		}
		if op, err = readOperation(raw); err != nil {
			return op, err
		}
	}
}
