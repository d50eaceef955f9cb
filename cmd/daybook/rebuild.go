package main

import (
	"io"

	"github.com/spf13/cobra"
)

func newRebuild() *cobra.Command {
	var flags clientFlags
	var f format
	cmd := &cobra.Command{
		Use: "rebuild", Short: "Build all views again from the events, and wait until they are ready",
		Long: `Build all views again from the events, and wait until they are ready. Readers are answered from the old ones until the
new ones take their place; both are compared, and what differed is shown. Ctrl-C ends the waiting, not the rebuild.`,
		Example: "  daybook rebuild",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := flags.open()
			if err != nil {
				return err
			}
			defer client.Close()
			op, err := operate(cmd, client, "rebuild", "/v1/admin/rebuild", nil)
			if err != nil {
				return err
			}
			if f.name != "table" {
				return printObject(cmd.OutOrStdout(), &f, op.raw)
			}
			say(cmd.OutOrStdout(), "The views are built again from %d events.\n", op.Head)
			op.report(cmd.OutOrStdout())
			return nil
		},
	}
	flags.add(cmd)
	f.add(cmd, "table", "json", "ndjson")
	return cmd
}

// report tells how the views differ from what they were.
func (op *operation) report(w io.Writer) {
	for _, v := range op.Views {
		if v.Digest == v.Before {
			say(w, "%s: all %d documents are as they were, digest %s.\n", v.Name, v.Same, v.Digest)
			continue
		}
		say(w, "%s: %d documents are as they were, %d added, %d removed, %d changed.\n", v.Name, v.Same, v.Added, v.Removed, v.Changed)
		say(w, "  digest %s, before %s\n", v.Digest, v.Before)
		for _, d := range v.Differences {
			say(w, "  %s %s: %q, now %q\n", d.ID, d.Field, d.Old, d.New)
		}
	}
}
