package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"daybook/app"
)

func newServe() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run Daybook: API, relay, projector and messages in one process",
		Example: "  daybook serve                                   # embedded store in ./daybook-data, on 127.0.0.1:8080\n" +
			"  daybook serve --store.driver memory             # nothing is kept\n" +
			"  daybook serve --config configs/embedded.yaml",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, _, err := app.Load(cmd.Flags(), os.Environ())
			if err != nil {
				return err
			}
			ctx, stop := stopSignals(cmd.Context())
			defer stop()
			a, err := app.New(c, build(), app.NewLogger(c, cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			defer runtime.KeepAlive(ballast())
			if c.Store.Driver == "postgres" {
				moreThreads()
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Daybook listens on %s (docs at %s/docs)\n", a.URL(), a.URL())
			return a.Run(ctx)
		},
	}
	app.Flags(cmd.Flags())
	return cmd
}

// ballast is memory that is never touched and so never resident. It makes a small heap count as a larger one, so that the
// garbage of busy requests is collected a few times a second and not dozens of times; beside a large heap it does not matter.
func ballast() []byte { return make([]byte, 64<<20) }

// moreThreads lets Go run twice as many threads as it would. A batch waits for the database twice, and when an answer comes all
// processors are busy with requests: behind few threads it queues for long, while the system's scheduler gives each of many
// its turn. GOMAXPROCS in the environment is stronger.
func moreThreads() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(2 * runtime.GOMAXPROCS(0))
	}
}

// stopSignals gives a context that ends at the first SIGINT or SIGTERM; the second one ends the process at once. The function
// it gives back ends the listening.
func stopSignals(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	signals, done := make(chan os.Signal, 2), make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		for range 2 {
			select {
			case <-signals:
				if ctx.Err() != nil {
					os.Exit(exitFailure)
				}
				cancel()
			case <-done:
				return
			}
		}
	}()
	return ctx, sync.OnceFunc(func() {
		signal.Stop(signals)
		close(done)
		cancel()
	})
}
