package main

import (
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

func newAudit() *cobra.Command {
	var flags clientFlags
	var f format
	var since string
	var after uint64
	cmd := &cobra.Command{
		Use: "audit", Short: "Who was refused what, what privileged people did, and what auditors and operators read",
		Long: `Who was refused what, what privileged people did, and what auditors and operators read, each with the reason that was given
(--reason), oldest first, as a running server has it. It is for auditors, who are in it themselves with what they read: their key is in
` + keyVariable + ` or in the file that ` + keyFileVariable + ` names. daybook verify --access proves that nothing in it was changed.`,
		Example: `  daybook audit --since 24h
  daybook audit --since 2026-01-31T00:00:00Z -o csv
  daybook audit --after 1200 -o ndjson --reason "case 17"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{"limit": {"1000"}}
			if life, err := parseLife(since); err == nil {
				query.Set("since", time.Now().Add(-life).UTC().Format(time.RFC3339))
			} else if since != "" {
				query.Set("since", since)
			}
			if after > 0 {
				query.Set("after", strconv.FormatUint(after, 10))
			}
			client, err := flags.open()
			if err != nil {
				return err
			}
			defer client.Close()
			l := newList(cmd.OutOrStdout(), &f, column{"position", "position", 8}, column{"at", "at", 27}, column{"who", "subject", 8}, column{"outcome", "outcome", 8},
				column{"action", "action", 8}, column{"target", "target", 0}, column{"address", "address", 0}, column{"request", "requestId", 0}, column{"detail", "detail", 0}, column{"reason", "reason", 0})
			return printItems(cmd, client, l, "/v1/admin/audit", query)
		},
	}
	flags.add(cmd)
	f.add(cmd, "table", "json", "ndjson", "csv")
	cmd.Flags().StringVar(&since, "since", "", "only what was written since: how long ago, such as 24h or 7d, or a time")
	cmd.Flags().Uint64Var(&after, "after", 0, "only what was written after this position")
	return cmd
}
