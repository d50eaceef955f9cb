package main

import (
	"github.com/spf13/cobra"
)

// newRoot builds the whole command line.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "daybook",
		Short: "An event-sourced account ledger in one binary",
		Example: `  daybook serve                                        # run it, with everything in ./daybook-data
  daybook import bank.csv.gz --mapping bank.yaml       # post the rows of a file
  daybook account get acc-101                          # how an account stands
  daybook account get acc-101 --at 2025-10-28T09:00:00Z
  daybook events tail --follow                         # watch what happens`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(
		newServe(), newConfig(), newVersion(),
		newAccount(), newEvents(), newImport(), newRebuild(), newBench(),
		newVerify(), newSelftest(), newCheckpoint(), newDeadLetters(), newHealth(),
		newExport(), newImportLog(), newArchive(), newBackup(), newRestore(),
		newKeys(), newAudit(),
		newExitCodes(),
	)
	root.SetHelpTemplate(helpTemplate)
	return root
}

// helpTemplate leads with what a command is for and how it is used; flags come last.
const helpTemplate = `{{with or .Long .Short}}{{. | trimTrailingWhitespaces}}

{{end}}{{if .HasExample}}Examples:
{{.Example}}

{{end}}{{if or .Runnable .HasSubCommands}}Usage:{{if .Runnable}}
  {{.UseLine}}{{end}}{{if .HasAvailableSubCommands}}
  {{.CommandPath}} [command]

Commands:{{range .Commands}}{{if or .IsAvailableCommand (eq .Name "help")}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}
{{if .HasHelpSubCommands}}
More help:{{range .Commands}}{{if .IsAdditionalHelpTopicCommand}}
  daybook help {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}
{{end}}{{if .HasAvailableLocalFlags}}
Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}
{{end}}{{end}}`
