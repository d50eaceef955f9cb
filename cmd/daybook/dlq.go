package main

import (
	"errors"
	"net/url"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"daybook/adapters/apiclient"
)

const deadLettersPath = "/v1/admin/dead-letters"

func newDeadLetters() *cobra.Command {
	cmd := &cobra.Command{
		Use: "dlq", Short: "Look at commands that came by message and could never succeed, and settle them",
		Long: `Look at commands that came by message and could never succeed, and settle them. They stay in the dead letters until they
are tried again or discarded.`,
		Example: `  daybook dlq ls
  daybook dlq show cmd-17
  daybook dlq retry cmd-17        # once what was wrong is mended
  daybook dlq discard --all`,
	}
	cmd.AddCommand(newDeadLettersList(), newDeadLettersShow(),
		newSettling("retry", "Send the commands of dead letters again, with the same ids", "sent again"),
		newSettling("discard", "Throw dead letters away", "discarded"))
	return cmd
}

func newDeadLettersList() *cobra.Command {
	var flags clientFlags
	var f format
	cmd := &cobra.Command{
		Use: "ls", Short: "The dead letters, oldest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := flags.open()
			if err != nil {
				return err
			}
			defer client.Close()
			l := newList(cmd.OutOrStdout(), &f, column{"id", "id", 0}, column{"reason", "reason", 0}, column{"body", "body", 0})
			return printItems(cmd, client, l, deadLettersPath, url.Values{"limit": {"1000"}})
		},
	}
	flags.add(cmd)
	f.add(cmd, "table", "json", "ndjson", "csv")
	return cmd
}

func newDeadLettersShow() *cobra.Command {
	var flags clientFlags
	var f format
	cmd := &cobra.Command{
		Use: "show ID", Short: "One dead letter, whole", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := flags.open()
			if err != nil {
				return err
			}
			defer client.Close()
			letter, err := client.Get(cmd.Context(), deadLettersPath+"/"+apiclient.Segment(args[0]), nil)
			if err != nil {
				return err
			}
			return printObject(cmd.OutOrStdout(), &f, letter)
		},
	}
	flags.add(cmd)
	f.add(cmd, "table", "json", "ndjson")
	return cmd
}

var errNothingNamed = errors.New("name the dead letters that are meant, or say --all")

// newSettling makes the command that does the verb with dead letters.
func newSettling(verb, short, done string) *cobra.Command {
	var flags clientFlags
	var all bool
	cmd := &cobra.Command{
		Use: verb + " [ID...]", Short: short,
		Args: func(_ *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return usageError{errNothingNamed}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, ids []string) error {
			client, err := flags.open()
			if err != nil {
				return err
			}
			defer client.Close()
			if all {
				if ids, err = deadLetterIDs(cmd, client); err != nil {
					return err
				}
			}
			for i, id := range ids {
				if _, err := client.Post(cmd.Context(), deadLettersPath+"/"+apiclient.Segment(id)+"/"+verb, nil); err != nil {
					say(cmd.ErrOrStderr(), "%d of %d dead letters were %s before this failed.\n", i, len(ids), done)
					return err
				}
			}
			say(cmd.OutOrStdout(), "%d dead letters were %s.\n", len(ids), done)
			return nil
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "all of the oldest 1000 instead of those named")
	return cmd
}

// deadLetterIDs are the ids of the dead letters there are right now: one that is dead again is not tried for ever.
func deadLetterIDs(cmd *cobra.Command, client *apiclient.Client) (ids []string, err error) {
	err = client.Items(cmd.Context(), deadLettersPath, url.Values{"limit": {"1000"}}, func(item jsontext.Value) bool {
		var letter struct {
			ID string `json:"id"`
		}
		if json.Unmarshal(item, &letter) == nil {
			ids = append(ids, letter.ID)
		}
		return true
	})
	return ids, err
}
