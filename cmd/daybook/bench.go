package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net/url"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"daybook/adapters/apiclient"
)

// bench is what `bench` was asked for.
type bench struct {
	clientFlags
	format      format
	connections []int
	duration    time.Duration
	warmup      time.Duration
	accounts    int
	mode        string
	keys        bool
	raw         bool
	reads       string // the server that is asked in mode visible

	prefix string // of the ids of this run's accounts and commands
	host   string // host:port of the server
	shown  string // the header Authorization; "" shows none
}

func newBench() *cobra.Command {
	var b bench
	cmd := &cobra.Command{
		Use: "bench", Short: "Measure a running server: commands a second and how long they take",
		Long: `Measure a running server with a closed loop: each connection sends a command, waits for its answer, and sends the next. It
writes to accounts of its own, whose ids begin with "bench-"; they stay. Do not run it against a ledger that matters.

Modes: deposit (spread over all accounts), hot (all to one account), bulk (NDJSON, many lines on their way), visible (from the
answer to a deposit until a query sees it, through --read-server if that is another process).`,
		Example: `  daybook bench
  daybook bench --connections 1,64 --duration 30s --mode hot
  daybook bench --connections 1 --mode bulk -o json
  daybook bench --connections 1 --mode visible --read-server http://127.0.0.1:8081`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return b.run(cmd) },
	}
	b.add(cmd)
	b.format.add(cmd, "table", "json", "ndjson", "csv")
	cmd.Flags().IntSliceVar(&b.connections, "connections", []int{1, 8, 64, 256}, "how many connections at once, one step for each")
	cmd.Flags().DurationVar(&b.duration, "duration", 10*time.Second, "how long each step is measured")
	cmd.Flags().DurationVar(&b.warmup, "warmup", time.Second, "how long each step runs before it is measured")
	cmd.Flags().IntVar(&b.accounts, "accounts", 1000, "how many accounts to write to")
	cmd.Flags().StringVar(&b.mode, "mode", "deposit", "deposit, hot, bulk or visible")
	cmd.Flags().BoolVar(&b.keys, "keys", false, "give every request an idempotency key of its own (bulk lines always have one)")
	cmd.Flags().BoolVar(&b.raw, "raw", false, "create no accounts: for the reference programs in test/bench, which know none")
	cmd.Flags().StringVar(&b.reads, "read-server", "", "the server that is asked in mode visible (default the one that is written to)")
	return cmd
}

// step is the result of one step.
type step struct {
	Mode        string  `json:"mode"`
	Connections int     `json:"connections"`
	Done        int64   `json:"done"` // requests answered with success, or lines in bulk
	Errors      int64   `json:"errors"`
	Seconds     float64 `json:"seconds"`
	PerSecond   float64 `json:"perSecond"`
	P50         float64 `json:"p50Millis"`
	P99         float64 `json:"p99Millis"`
	P999        float64 `json:"p999Millis"`
	Max         float64 `json:"maxMillis"`
	FirstError  string  `json:"firstError,omitempty"`
}

func (b *bench) run(cmd *cobra.Command) error {
	client, err := b.open()
	if err != nil {
		return err
	}
	defer client.Close()
	if err := b.check(client); err != nil {
		return usageError{err}
	}
	ctx, stop := stopSignals(cmd.Context())
	defer stop()
	if !b.raw {
		if err := b.createAccounts(ctx, client); err != nil {
			return err
		}
	}
	l := newList(cmd.OutOrStdout(), &b.format, column{"mode", "mode", 7}, column{"connections", "connections", 11},
		column{"per second", "perSecond", 10}, column{"p50 ms", "p50Millis", 8}, column{"p99 ms", "p99Millis", 8},
		column{"p99.9 ms", "p999Millis", 8}, column{"max ms", "maxMillis", 8}, column{"errors", "errors", 6})
	for _, n := range b.connections {
		say(cmd.ErrOrStderr(), "%s over %d connections for %v ...\n", b.mode, n, b.duration)
		s, err := b.step(ctx, n)
		if err != nil {
			return err
		}
		if s.FirstError != "" {
			say(cmd.ErrOrStderr(), "%d errors; the first: %s\n", s.Errors, harmless(s.FirstError))
		}
		body, err := json.Marshal(s)
		if err == nil {
			err = l.add(body)
		}
		if err == nil {
			err = l.flush()
		}
		if err != nil {
			return err
		}
	}
	return l.end()
}

func (b *bench) check(client *apiclient.Client) error {
	u, err := url.Parse(client.Server())
	switch {
	case err != nil:
		return err
	case u.Scheme != "http":
		return fmt.Errorf("bench speaks plain HTTP; %s does not", client.Server())
	case !slices.Contains([]string{"deposit", "hot", "bulk", "visible"}, b.mode):
		return fmt.Errorf("--mode %q: choose deposit, hot, bulk or visible", b.mode)
	case b.accounts < 1 || b.accounts > 1_000_000:
		return fmt.Errorf("--accounts %d: choose from 1 to 1000000", b.accounts)
	case b.duration <= 0 || b.warmup < 0:
		return fmt.Errorf("--duration and --warmup must be times like 10s")
	}
	for _, n := range b.connections {
		if n < 1 || n > 10_000 {
			return fmt.Errorf("--connections %d: choose from 1 to 10000", n)
		}
	}
	if b.reads == "" {
		b.reads = b.server
	}
	key, err := credential()
	if err != nil {
		return err
	}
	if key != "" {
		b.shown = "Bearer " + key
	}
	if b.host = u.Host; u.Port() == "" {
		b.host = u.Hostname() + ":80"
	}
	random := make([]byte, 4)
	_, _ = rand.Read(random) // it never fails
	b.prefix = "bench-" + hex.EncodeToString(random)
	return nil
}

// accountDigits is the width of the number in an account's id.
const accountDigits = 7

// account is the id of the i-th account.
func (b *bench) account(i int) string { return fmt.Sprintf("%s-%0*d", b.prefix, accountDigits, i) }

// targets is how many accounts are written to.
func (b *bench) targets() int {
	if b.mode == "hot" {
		return 1
	}
	return b.accounts
}

func (b *bench) createAccounts(ctx context.Context, client *apiclient.Client) error {
	next, refused := 0, error(nil)
	exchange := apiclient.Exchange[struct{}]{
		Client: client,
		Next: func(context.Context) (apiclient.Line[struct{}], error) {
			if next == b.targets() {
				return apiclient.Line[struct{}]{}, io.EOF
			}
			account := b.account(next)
			next++
			return apiclient.Line[struct{}]{ID: account, JSON: fmt.Appendf(nil,
				`{"id":%q,"account":%q,"command":"create","data":{"owner":"daybook bench","currency":"EUR"}}`, account, account)}, nil
		},
		Took: func(_ struct{}, a apiclient.Answer) {
			if a.Error != nil {
				refused = a.Error
			}
		},
	}
	if err := exchange.Run(ctx); err != nil {
		return err
	}
	return refused
}
