package main

import (
	"net/url"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"daybook/adapters/apiclient"
)

func newAccount() *cobra.Command {
	cmd := &cobra.Command{
		Use: "account", Short: "Look at one account: how it stands or stood, its history, its statement",
		Example: `  daybook account get acc-101
  daybook account history acc-101
  daybook account statement acc-101 --from 2025-10-01T00:00:00Z --to 2025-11-01T00:00:00Z`,
	}
	cmd.AddCommand(newAccountGet(), newAccountHistory(), newAccountStatement())
	return cmd
}

// accountCommand is a command about one account, whose id is its only argument. params are the flags that are sent as the query
// parameters of the same meaning.
func accountCommand(cmd *cobra.Command, params map[string]string, do func(cmd *cobra.Command, c *apiclient.Client, f *format, path string, query url.Values) error) *cobra.Command {
	var flags clientFlags
	var f format
	flags.add(cmd)
	f.add(cmd, "table", "json", "ndjson", "csv")
	cmd.Args = cobra.ExactArgs(1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := flags.open()
		if err != nil {
			return err
		}
		defer client.Close()
		query := url.Values{}
		for flag, param := range params {
			if given := cmd.Flags().Lookup(flag); given.Changed {
				query.Set(param, given.Value.String())
			}
		}
		return do(cmd, client, &f, "/v1/accounts/"+apiclient.Segment(args[0]), query)
	}
	return cmd
}

func newAccountGet() *cobra.Command {
	cmd := &cobra.Command{
		Use: "get ID", Short: "How the account stands, or stood at a moment or version",
		Example: `  daybook account get acc-101
  daybook account get acc-101 --at 2025-10-28T09:00:00Z             # as it was recorded then
  daybook account get acc-101 --version 3
  daybook account get acc-101 --effective-at 2025-10-28T09:00:00Z   # what had happened in the world by then`,
	}
	cmd.Flags().String("at", "", "as recorded at this moment (RFC 3339)")
	cmd.Flags().Uint64("version", 0, "after this many of its events")
	cmd.Flags().String("effective-at", "", "the balance of what had happened in the world by this moment (RFC 3339)")
	params := map[string]string{"at": "at", "version": "version", "effective-at": "effectiveAt"}
	return accountCommand(cmd, params, func(cmd *cobra.Command, c *apiclient.Client, f *format, path string, query url.Values) error {
		if len(query) == 0 { // as it stands now: the view must show what was written before this command
			head, err := headOf(cmd.Context(), c)
			if err != nil {
				return err
			}
			query.Set("minPosition", strconv.FormatUint(head, 10))
		}
		account, err := c.Get(cmd.Context(), path, query)
		if err != nil {
			return err
		}
		return printObject(cmd.OutOrStdout(), f, account)
	})
}

func newAccountHistory() *cobra.Command {
	cmd := &cobra.Command{
		Use: "history ID", Short: "All events of the account, oldest first",
		Example: `  daybook account history acc-101
  daybook account history acc-101 -o ndjson | jq .data.amount`,
	}
	return accountCommand(cmd, nil, func(cmd *cobra.Command, c *apiclient.Client, f *format, path string, query url.Values) error {
		l := newList(cmd.OutOrStdout(), f, column{"version", "version", 7}, column{"event", "eventType", 19},
			column{"happened", "timestamp", 20}, column{"amount", "data/amount", 10}, column{"recorded", "recordedAt", 27},
			column{"position", "position", 8}, column{"description", "data/description", 0})
		query.Set("limit", "1000")
		return printItems(cmd, c, l, path+"/events", query)
	})
}

// printItems prints a list to its end.
func printItems(cmd *cobra.Command, c *apiclient.Client, l *list, path string, query url.Values) error {
	var printing error
	err := c.Items(cmd.Context(), path, query, func(item jsontext.Value) bool {
		printing = l.add(item)
		return printing == nil
	})
	if err == nil {
		err = printing
	}
	if err != nil {
		_ = l.flush()
		return err
	}
	return l.end()
}
