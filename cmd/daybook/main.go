// Command daybook is the ledger's one program: `daybook serve` runs it, the other subcommands speak to a running one over HTTP.
// One file holds one subcommand. What may not live here: rules, storage, wiring; `app` and the adapters have those.
package main

import (
	"context"
	"io"
	"os"
	_ "time/tzdata" // import mappings name time zones, also where the system knows none

	"github.com/spf13/cobra"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run does what one command line says and gives the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	understood := false // from the first hook on, an error is no longer about the command line
	root.PersistentPreRun = func(*cobra.Command, []string) { understood = true }
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if !understood {
		err = usageError{err}
	}
	code := exitCode(err)
	say(stderr, "daybook: %v\n", err)
	if code == exitUsage {
		say(stderr, "See: %s -h\n", cmd.CommandPath())
	}
	return code
}
