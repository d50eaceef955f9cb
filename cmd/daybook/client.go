package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"

	"daybook/adapters/apiclient"
)

// clientFlags are what every command has that speaks to a running server.
type clientFlags struct {
	server   string
	patience time.Duration
}

func (c *clientFlags) add(cmd *cobra.Command) {
	server := os.Getenv("DAYBOOK_SERVER")
	if server == "" {
		server = "http://127.0.0.1:8080"
	}
	cmd.Flags().StringVar(&c.server, "server", server, "where Daybook runs; also DAYBOOK_SERVER")
	cmd.Flags().DurationVar(&c.patience, "timeout", 30*time.Second, "how long to wait for a server that does not answer")
}

// open makes the client that the flags describe. The caller closes it.
func (c *clientFlags) open() (*apiclient.Client, error) {
	client, err := apiclient.New(c.server, c.patience)
	if err != nil {
		return nil, usageError{err}
	}
	return client, nil
}
