package main

import (
	"errors"
	"os"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"daybook/app"
	"daybook/core/ports"
)

func newBackup() *cobra.Command {
	var server string
	cmd := &cobra.Command{
		Use: "backup DIR", Short: "Copy the embedded store into a directory, also while it is used",
		Long: `Copy the embedded store into a directory that does not exist yet, and print what the copy holds. A stopped store is copied by
the command; of a running server, name it with --server: then the directory is one on the server's machine, with its whole path.
PostgreSQL is backed up by its own tools:

  pg_dump --format=custom --file=daybook.dump postgres://user@host/daybook
  pg_basebackup --pgdata=DIR --checkpoint=fast --dbname=postgres://replication@host`,
		Example: `  daybook backup /var/backups/monday --server http://127.0.0.1:8080
  daybook backup /var/backups/monday --store.pebble.path ./daybook-data`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			position, root, err := backup(cmd, server, args[0])
			if err != nil {
				return err
			}
			say(cmd.OutOrStdout(), "Backed up to %s: position %d, hash %s\n", args[0], position, root)
			return nil
		},
	}
	cmd.Flags().StringVar(&server, "server", "", "ask the server that runs here, instead of opening the store")
	app.Flags(cmd.Flags())
	return cmd
}

func backup(cmd *cobra.Command, server, dir string) (position uint64, root string, err error) {
	ctx, stop := stopSignals(cmd.Context())
	defer stop()
	if server != "" {
		client, err := connect(server, 0)
		if err != nil {
			return 0, "", err
		}
		defer client.Close()
		answer, err := client.Backup(ctx, dir)
		if err != nil {
			return 0, "", err
		}
		var b struct {
			Position uint64 `json:"position"`
			Root     string `json:"root"`
		}
		err = json.Unmarshal(answer, &b)
		return b.Position, b.Root, err
	}
	ledger, err := openLedger(cmd)
	if err != nil {
		return 0, "", err
	}
	copying, ok := ledger.Store.(ports.BackupStore)
	if !ok {
		return 0, "", errors.Join(ports.ErrBackupElsewhere, ledger.Close())
	}
	b, err := copying.Backup(ctx, dir)
	return uint64(b.Position), b.Root.String(), errors.Join(err, ledger.Close())
}

func newRestore() *cobra.Command {
	cmd := &cobra.Command{
		Use: "restore DIR", Short: "Make the embedded store out of a backup, in an empty place",
		Long: `Make the embedded store (store.pebble.path) out of a backup. Its place must be empty or not exist. Every file is compared with
the backup's manifest, and the head and its hash are those of the backup; they are printed. Views that know more than the
restored store are filled again when a server starts on it.`,
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
			say(cmd.OutOrStdout(), "Restored from %s: position %d, hash %s\n", args[0], b.Position, b.Root)
			return nil
		},
	}
	app.Flags(cmd.Flags())
	return cmd
}
