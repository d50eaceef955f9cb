package main

import "github.com/spf13/cobra"

func newCheckpoint() *cobra.Command {
	var flags clientFlags
	cmd := &cobra.Command{
		Use: "checkpoint", Short: "Print a signed checkpoint of a running server, to be kept elsewhere",
		Long: `Print how many events there are and the root over all their hashes, signed. Whoever keeps it can tell later, with
daybook verify --checkpoint, whether anything up to there was changed, taken out or put in.`,
		Example: "  daybook checkpoint >> checkpoints.txt",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := flags.open()
			if err != nil {
				return err
			}
			defer client.Close()
			signed, err := client.Text(cmd.Context(), "/v1/checkpoint")
			if err != nil {
				return err
			}
			say(cmd.OutOrStdout(), "%s\n", signed)
			return nil
		},
	}
	flags.add(cmd)
	return cmd
}
