package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"daybook/app"
)

func newConfig() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Show, check or begin a configuration"}
	show := &cobra.Command{
		Use: "show", Short: "Print every setting, its value and where it came from", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, settings, err := app.Load(cmd.Flags(), os.Environ())
			if err != nil {
				return err
			}
			rows := make([][]string, len(settings))
			for i, s := range settings {
				rows[i] = []string{s.Name, fmt.Sprint(s.Shown()), s.Origin}
			}
			return printTable(cmd, []string{"setting", "value", "origin"}, rows)
		},
	}
	check := &cobra.Command{
		Use: "check", Short: "Say whether the configuration is right, and everything that is wrong with it", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, _, err := app.Load(cmd.Flags(), os.Environ()); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "The configuration is right.")
			return nil
		},
	}
	begin := &cobra.Command{
		Use: "init", Short: "Print a configuration file with every setting at its default and explained", Args: cobra.NoArgs,
		Example: "  daybook config init > daybook.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			fmt.Fprint(cmd.OutOrStdout(), app.Example())
			return nil
		},
	}
	app.Flags(show.Flags())
	app.Flags(check.Flags())
	cmd.AddCommand(show, check, begin)
	return cmd
}
