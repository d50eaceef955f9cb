package main

import (
	"net/url"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"
)

func newHealth() *cobra.Command {
	var flags clientFlags
	var f format
	cmd := &cobra.Command{
		Use: "health", Short: "Whether a server can do its work, and how its parts stand",
		Long: "Whether a server can do its work, and how its parts stand. The exit code is 0 when it can: fit for the health check of a container.",
		Example: `  daybook health
  daybook health --server http://127.0.0.1:8081 -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
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
	return cmd
}
