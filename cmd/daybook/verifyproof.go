package main

import (
	"fmt"
	"io"
	"os"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"daybook/core/engine"
	"daybook/core/es"
)

func newVerifyProof() *cobra.Command {
	var key string
	cmd := &cobra.Command{
		Use: "proof FILE|-", Short: "Check the proof of one event, without a server and without the store",
		Long: `Check a proof, as GET /v1/events/{id}/proof gives it: that the event is as it was stored, and that it is among those that the
checkpoint in the proof was signed over. With --key also who signed it.`,
		Example: "  curl -s http://127.0.0.1:8080/v1/events/evt-17/proof | daybook verify proof - --key key.pub",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := readArgument(cmd, args[0])
			if err != nil {
				return usageError{err}
			}
			public, err := readKey(key)
			if err != nil {
				return err
			}
			p, err := readProof(text, public)
			if err == nil {
				err = p.Check()
			}
			if err != nil {
				return &engine.TamperedError{What: "the proof does not hold", Err: err}
			}
			by := "the signature was not checked: name the public key with --key"
			if public != "" {
				by = "signed by " + p.Checkpoint.Origin
			}
			say(cmd.OutOrStdout(), "%s is in the ledger as it is shown: event %d of the %d that there were at %s (%s).\n",
				p.Event.Position.EventID(), p.Event.Position, p.Checkpoint.Size, es.AppendTime(nil, p.Checkpoint.At), by)
			return nil
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "the public key that the checkpoint must be signed with, or a file that holds it")
	return cmd
}

// readArgument reads a file, or with - the standard input.
func readArgument(cmd *cobra.Command, name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(cmd.InOrStdin())
	}
	return os.ReadFile(name)
}

// readProof reads a proof as the server writes it. With a key it checks who signed its checkpoint.
func readProof(text []byte, key string) (p engine.Proof, err error) {
	var d struct {
		Event        string   `json:"event"`
		PreviousHash string   `json:"previousHash"`
		Path         []string `json:"path"`
		Checkpoint   string   `json:"checkpoint"`
	}
	if err := json.Unmarshal(text, &d); err != nil {
		return p, fmt.Errorf("this is not a proof: %w", err)
	}
	if p.Event, err = es.ParseRecorded([]byte(d.Event)); err != nil {
		return p, err
	}
	if p.Previous, err = es.ParseHash(d.PreviousHash); err != nil {
		return p, err
	}
	for _, h := range d.Path {
		step, err := es.ParseHash(h)
		if err != nil {
			return p, err
		}
		p.Path = append(p.Path, step)
	}
	p.Checkpoint, err = readCheckpoint(d.Checkpoint, key)
	return p, err
}
