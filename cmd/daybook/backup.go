package main

import (
	"context"
	"os"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"daybook/app"
)

func newBackup() *cobra.Command {
	var server clientFlags
	cmd := &cobra.Command{
		Use: "backup DIR", Short: "Copy the embedded store into a directory, also while it is used",
		Long: `Copy the embedded store into a directory that does not exist yet, and print what the copy holds. The access ledger (keys and the
audit log), if there is one, is copied into DIR.access. A stopped store is copied by the command; of a running server, name it with
--server: then the directory is one on the server's machine, with its whole path. PostgreSQL is backed up by its own tools, with
the access ledger, which is a schema of the same database:

  pg_dump --format=custom --file=daybook.dump postgres://user@host/daybook
  pg_basebackup --pgdata=DIR --checkpoint=fast --dbname=postgres://replication@host`,
		Example: `  daybook backup /var/backups/monday --server http://127.0.0.1:8080 --reason "before the move"
  daybook backup /var/backups/monday --store.pebble.path ./daybook-data`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := stopSignals(cmd.Context())
			defer stop()
			b, err := backup(ctx, cmd, &server, args[0])
			if err != nil {
				return err
			}
			report(cmd, "Backed up to", args[0], b)
			return nil
		},
	}
	server.addInstead(cmd, "the store")
	app.Flags(cmd.Flags())
	return cmd
}

// copied is what a backup holds.
type copied struct {
	Position uint64  `json:"position"`
	Root     string  `json:"root"`
	Access   *copied `json:"access"` // of the access ledger; nil: there is none
}

func copiedOf(b app.Backup) copied {
	c := copied{Position: uint64(b.Position), Root: b.Root.String()}
	if b.Access != nil {
		c.Access = &copied{Position: uint64(b.Access.Position), Root: b.Access.Root.String()}
	}
	return c
}

func report(cmd *cobra.Command, done, dir string, c copied) {
	say(cmd.OutOrStdout(), "%s %s: position %d, hash %s\n", done, dir, c.Position, c.Root)
	if c.Access != nil {
		say(cmd.OutOrStdout(), "%s %s: the access ledger, position %d, hash %s\n", done, dir+app.AccessSuffix, c.Access.Position, c.Access.Root)
	}
}

func backup(ctx context.Context, cmd *cobra.Command, server *clientFlags, dir string) (c copied, err error) {
	if server.server != "" {
		client, err := server.open()
		if err != nil {
			return c, err
		}
		defer client.Close()
		answer, err := client.Backup(ctx, dir)
		if err != nil {
			return c, err
		}
		return c, json.Unmarshal(answer, &c)
	}
	config, _, err := app.Load(cmd.Flags(), os.Environ())
	if err != nil {
		return c, err
	}
	b, err := app.BackUp(ctx, config, app.NewLogger(config, cmd.ErrOrStderr()), dir)
	return copiedOf(b), err
}

func newRestore() *cobra.Command {
	cmd := &cobra.Command{
		Use: "restore DIR", Short: "Make the embedded store out of a backup, in an empty place",
		Long: `Make the embedded store (store.pebble.path) out of a backup, and the access ledger beside it, if the backup has one in DIR.access.
Their places must be empty or not exist. Every file is compared with the backup's manifest, and the head and its hash are those of
the backup; they are printed. Views that know more than the restored store are filled again when a server starts on it. Keys
that were made or revoked since the backup are as they were then: look at daybook keys list before letting anybody in.`,
		Example: "  daybook restore /var/backups/monday --store.pebble.path ./daybook-data",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, _, err := app.Load(cmd.Flags(), os.Environ())
			if err != nil {
				return err
			}
			b, err := app.Restore(c, args[0])
			if err != nil {
				return err
			}
			report(cmd, "Restored from", args[0], copiedOf(b))
			return nil
		},
	}
	app.Flags(cmd.Flags())
	return cmd
}
