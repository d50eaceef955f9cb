package main

import (
	"errors"
	"net/url"
	"os"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"daybook/app"
)

func newHealth() *cobra.Command {
	var flags clientFlags
	var f format
	var own bool
	cmd := &cobra.Command{
		Use: "health", Short: "Whether a server can do its work, and how its parts stand",
		Long: "Whether a server can do its work, and how its parts stand. The exit code is 0 when it can: fit for the health check of a container.",
		Example: `  daybook health
  daybook health --own                      # of a container: where and how the configuration listens
  daybook health --server http://127.0.0.1:8081 -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if own {
				if err := flags.toOwn(cmd); err != nil {
					return err
				}
			}
			client, err := flags.open()
			if err != nil {
				return err
			}
			defer client.Close()
			answer, err := client.Get(cmd.Context(), "/readyz", url.Values{"verbose": {"true"}})
			if err != nil {
				return err
			}
			var health struct {
				Checks []jsontext.Value `json:"checks"`
			}
			if f.name == "json" {
				return printObject(cmd.OutOrStdout(), &f, answer)
			}
			if err := json.Unmarshal(answer, &health); err != nil {
				return err
			}
			l := newList(cmd.OutOrStdout(), &f, column{"part", "name", 8}, column{"well", "ok", 5}, column{"needed", "needed", 6}, column{"detail", "detail", 0})
			for _, check := range health.Checks {
				if err := l.add(check); err != nil {
					return err
				}
			}
			return l.end()
		},
	}
	flags.add(cmd)
	f.add(cmd, "table", "json", "ndjson")
	cmd.Flags().BoolVar(&own, "own", false, "ask the server of this configuration on this machine, by its own TLS if it has that")
	app.Flags(cmd.Flags())
	return cmd
}

// toOwn makes the flags those of the server that the configuration describes.
func (c *clientFlags) toOwn(cmd *cobra.Command) error {
	if cmd.Flags().Changed("server") {
		return usageError{errors.New("--server and --own are both there: choose one")}
	}
	config, _, err := app.Load(cmd.Flags(), os.Environ())
	if err != nil {
		return err
	}
	c.server, c.tls, err = app.Reach(config)
	return err
}
