package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"daybook/app"
)

// version is set when a release is built: -ldflags "-X main.version=1.2.3".
var version = "dev"

// build says which build this is, from what the Go toolchain noted.
func build() app.Build {
	b := app.Build{Version: version, Go: runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				b.Commit = s.Value
			}
		}
	}
	return b
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b := build()
			commit := b.Commit
			if commit == "" {
				commit = "unknown commit"
			}
			fmt.Fprintf(cmd.OutOrStdout(), "daybook %s (%s, %s)\n", b.Version, commit, b.Go)
			return nil
		},
	}
}
