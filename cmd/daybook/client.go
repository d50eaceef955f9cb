package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"daybook/adapters/apiclient"
	"daybook/app"
)

// clientFlags are what every command has that speaks to a running server.
type clientFlags struct {
	server    string
	patience  time.Duration
	reason    string
	keyInOpen bool
	tls       *tls.Config
}

func (c *clientFlags) add(cmd *cobra.Command) {
	server := os.Getenv("DAYBOOK_SERVER")
	if server == "" {
		server = "http://127.0.0.1:8080"
	}
	cmd.Flags().StringVar(&c.server, "server", server, "where Daybook runs; also DAYBOOK_SERVER")
	cmd.Flags().DurationVar(&c.patience, "timeout", 30*time.Second, "how long to wait for a server that does not answer")
	c.addCommon(cmd)
}

// addInstead is for commands that ask a server only when one is named, and open the store otherwise.
func (c *clientFlags) addInstead(cmd *cobra.Command, what string) {
	cmd.Flags().StringVar(&c.server, "server", "", "ask the server that runs here, instead of opening "+what)
	c.addCommon(cmd)
}

func (c *clientFlags) addCommon(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.reason, "reason", "", "why, for the audit log")
	cmd.Flags().BoolVar(&c.keyInOpen, "insecure-send-key", false, "send the key to another machine by plain HTTP too, where others can read it")
}

// open makes the client that the flags describe; it shows the key of the environment. The caller closes it.
func (c *clientFlags) open() (*apiclient.Client, error) {
	key, err := credential()
	if err != nil {
		return nil, usageError{err}
	}
	client, err := apiclient.New(apiclient.Options{Server: c.server, Key: key, Reason: c.reason, Patience: c.patience, SendKeyInClear: c.keyInOpen, TLS: c.tls})
	if errors.Is(err, apiclient.ErrKeyInClear) {
		err = fmt.Errorf("%w, or say --insecure-send-key", err)
	}
	if err != nil {
		return nil, usageError{err}
	}
	return client, nil
}

// Where the client finds what it shows the server. There is no flag: whoever lists processes could read it.
const (
	keyVariable     = "DAYBOOK_API_KEY"
	keyFileVariable = "DAYBOOK_API_KEY_FILE"
)

// credential is the API key or token of the environment; "" is none.
func credential() (string, error) {
	key, file := os.Getenv(keyVariable), os.Getenv(keyFileVariable)
	switch {
	case key != "" && file != "":
		return "", fmt.Errorf("%s and %s are both set: choose one", keyVariable, keyFileVariable)
	case file != "":
		if app.OthersMayRead(file) {
			return "", fmt.Errorf("%s: others may read %s: take that from them (chmod 600)", keyFileVariable, file)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("%s: %w", keyFileVariable, err)
		}
		key = strings.TrimSpace(string(text))
	}
	for _, c := range []byte(key) {
		if c <= ' ' || c > '~' {
			return "", fmt.Errorf("what %s or %s gives is no key: it has white space or other characters that no key has", keyVariable, keyFileVariable)
		}
	}
	return key, nil
}
