package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"daybook/adapters/apiclient"
)

func newEvents() *cobra.Command {
	cmd := &cobra.Command{
		Use: "events", Short: "Look at the events of all accounts in the order they were written",
		Example: `  daybook events tail
  daybook events tail --follow --type MoneyDeposited`,
	}
	cmd.AddCommand(newEventsTail())
	return cmd
}

// tail is what `events tail` was asked for.
type tail struct {
	clientFlags
	format    format
	follow    bool
	after     uint64
	hasAfter  bool
	last      uint64
	eventType string
}

func newEventsTail() *cobra.Command {
	var t tail
	cmd := &cobra.Command{
		Use: "tail", Short: "The last events, or all after a position; with --follow also those to come",
		Example: `  daybook events tail                       # the last 10
  daybook events tail --after 0 -o ndjson   # all there are
  daybook events tail --follow              # and then whatever comes, until Ctrl-C
  daybook events tail --after 0 --type AccountCreated`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t.hasAfter = cmd.Flags().Changed("after")
			return t.run(cmd)
		},
	}
	t.add(cmd)
	t.format.add(cmd, "table", "json", "ndjson", "csv")
	cmd.Flags().BoolVarP(&t.follow, "follow", "f", false, "go on with what comes, and resume when the connection breaks")
	cmd.Flags().Uint64Var(&t.after, "after", 0, "begin after this position")
	cmd.Flags().Uint64VarP(&t.last, "last", "n", 10, "begin this many positions before the end, when --after is not given")
	cmd.Flags().StringVar(&t.eventType, "type", "", "only events of this type")
	return cmd
}

func (t *tail) run(cmd *cobra.Command) error {
	client, err := t.open()
	if err != nil {
		return err
	}
	defer client.Close()
	if !t.hasAfter {
		head, err := headOf(cmd.Context(), client)
		if err != nil {
			return err
		}
		t.after = head - min(t.last, head)
	}
	l := newList(cmd.OutOrStdout(), &t.format, column{"position", "position", 8}, column{"account", "aggregateId", 12},
		column{"version", "version", 7}, column{"event", "eventType", 19}, column{"happened", "timestamp", 20},
		column{"amount", "data/amount", 10}, column{"recorded", "recordedAt", 27}, column{"description", "data/description", 0})
	query := url.Values{}
	if t.eventType != "" {
		query.Set("type", t.eventType)
	}
	if t.follow {
		return t.live(cmd, client, l, query)
	}
	query.Set("limit", "1000")
	query.Set("after", strconv.FormatUint(t.after, 10))
	return printItems(cmd, client, l, "/v1/events", query)
}

// live prints each event as it comes, until the command is interrupted.
func (t *tail) live(cmd *cobra.Command, client *apiclient.Client, l *list, query url.Values) error {
	ctx, stop := stopSignals(cmd.Context())
	defer stop()
	err := client.Follow(ctx, query, strconv.FormatUint(t.after, 10), func(event jsontext.Value) error {
		if err := l.add(event); err != nil {
			return err
		}
		return l.flush()
	}, func(err error, again time.Duration) {
		say(cmd.ErrOrStderr(), "%v; trying again in %v\n", err, again)
	})
	if errors.Is(err, context.Canceled) {
		return l.end()
	}
	return err
}

// headOf is the position of the last event.
func headOf(ctx context.Context, client *apiclient.Client) (uint64, error) {
	body, err := client.Get(ctx, "/v1/status", nil)
	if err != nil {
		return 0, err
	}
	var status struct {
		Head uint64 `json:"head"`
	}
	if err := json.Unmarshal(body, &status); err != nil {
		return 0, fmt.Errorf("%s answers /v1/status with something else: %w", client.Server(), err)
	}
	return status.Head, nil
}
