package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"daybook/adapters/apiclient"
	"daybook/adapters/notary"
	"daybook/core/es"
	"daybook/core/fault"
)

// serverHistory is the history that a server shows, for a verification from its beginning.
type serverHistory struct {
	client *apiclient.Client
	key    string // checks the server's checkpoint; "": its signature is not looked at
}

// errServerDamaged: the server itself found that it cannot give an event.
var errServerDamaged = fault.New(fault.Internal, "store_damaged", "The server cannot read an event.")

// ReadFeed implements engine.History.
func (s *serverHistory) ReadFeed(ctx context.Context, after es.Position, limit int) ([]es.Recorded, error) {
	query := url.Values{"after": {strconv.FormatUint(uint64(after), 10)}, "limit": {strconv.Itoa(min(limit, 1000))}}
	var events []es.Recorded
	var bad error
	err := s.client.Items(ctx, "/v1/events", query, func(raw jsontext.Value) bool {
		e, err := es.ParseRecorded(append([]byte(nil), raw...))
		if err != nil {
			bad = errServerDamaged.Say("The server shows something at position %d that is not an event as it was stored.", after+es.Position(len(events))+1).Because(err)
			return false
		}
		events = append(events, e)
		return len(events) < limit
	})
	var problem *apiclient.Problem
	switch {
	case bad != nil:
		return nil, bad
	case errors.As(err, &problem) && slices.Contains(damage, problem.Code):
		return nil, errServerDamaged.Say("The server says: %s", problem.Error())
	}
	return events, err
}

// ReadStream implements engine.History. A verification from the beginning has seen every stream from its beginning.
func (s *serverHistory) ReadStream(context.Context, es.StreamID, es.Version, int) ([]es.Recorded, error) {
	return nil, nil
}

// TreeNodes implements engine.History. A server does not show them.
func (s *serverHistory) TreeNodes(context.Context, int, uint64, int) ([]es.Hash, error) {
	return nil, nil
}

// Seal implements engine.History.
func (s *serverHistory) Seal(ctx context.Context) (es.Position, es.Hash, error) {
	signed, err := s.client.Text(ctx, "/v1/checkpoint")
	if err != nil {
		return 0, es.Hash{}, err
	}
	c, err := readCheckpoint(signed, s.key)
	return c.Size, c.Root, err
}

// readCheckpoint reads a note, and checks its signature if there is a key.
func readCheckpoint(signed, key string) (es.Checkpoint, error) {
	if key != "" {
		return checkpointOf(signed, key)
	}
	text, err := notary.Text(signed)
	if err != nil {
		return es.Checkpoint{}, err
	}
	c, err := es.ParseCheckpoint(text)
	if err != nil {
		return c, fmt.Errorf("what should be a checkpoint is none: %w", err)
	}
	return c, nil
}
