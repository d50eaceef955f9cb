package main

import (
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newArchive() *cobra.Command {
	var flags clientFlags
	var f format
	var before string
	var without []string
	cmd := &cobra.Command{
		Use: "archive", Short: "Move old events to the archive, and wait until they are there",
		Long: `Move the events that were recorded before a time to the archive (archive.url of the server), and wait until they are there.
Nothing else changes: every question is answered as before, from the archive where need be. Events leave the store only after
their copy was read back and compared. Those that a follower of the feed or a view has not taken yet stay, and so do the last
ones. Ctrl-C ends the waiting, not the work; killed anywhere, the same command goes on there.`,
		Example: `  daybook archive --before 2025-01-01
  daybook archive --before 2025-01-01 --without relay:old.events   # a follower that there is no more`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if before == "" {
				return usageError{errors.New("--before is missing: a day, such as 2025-01-01, or a time")}
			}
			if _, err := time.Parse(time.DateOnly, before); err == nil {
				before += "T00:00:00Z"
			}
			asked := url.Values{"before": {before}}
			if len(without) > 0 {
				asked.Set("without", strings.Join(without, ","))
			}
			client, err := flags.open()
			if err != nil {
				return err
			}
			defer client.Close()
			op, err := operate(cmd, client, "archival", "/v1/admin/archive", asked)
			if err != nil {
				return err
			}
			if f.name != "table" {
				return printObject(cmd.OutOrStdout(), &f, op.raw)
			}
			say(cmd.OutOrStdout(), "The first %d events are in the archive.\n", op.Head)
			if op.HeldBack != "" {
				say(cmd.OutOrStdout(), "What comes after them stays in the store: %s.\n", op.HeldBack)
			}
			return nil
		},
	}
	flags.add(cmd)
	f.add(cmd, "table", "json", "ndjson")
	cmd.Flags().StringVar(&before, "before", "", "move events recorded earlier than this day (UTC) or time")
	cmd.Flags().StringSliceVar(&without, "without", nil, "a follower of the feed that there is no more; may be given again")
	return cmd
}
