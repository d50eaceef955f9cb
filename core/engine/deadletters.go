package engine

import (
	"context"
	"errors"
	"slices"

	"daybook/core/access"
	"daybook/core/ports"
)

// mostDeadLetters is how many dead commands are looked at to find one.
const mostDeadLetters = 10_000

// DeadLetters gives up to limit messages with commands that could never succeed and that nobody has settled, oldest first. Who may not
// read all accounts gets them without their bodies.
func (e *Engine) DeadLetters(ctx context.Context, limit int) ([]ports.Message, error) {
	if _, err := e.may(ctx, access.DeadLetters); err != nil {
		return nil, err
	}
	messages, err := e.Bus.DeadMessages(ctx, e.CommandsTopic, limit)
	for i := range messages {
		messages[i] = e.discreet(ctx, messages[i])
	}
	return messages, err
}

// discreet leaves the body of a command out for those who may not read the account that it was for.
func (e *Engine) discreet(ctx context.Context, m ports.Message) ports.Message {
	if grant, err := e.may(ctx, access.Read); err != nil || grant.Reach < access.All {
		m.Body = nil
	}
	return m
}

// DeadLetter gives one of them; ports.ErrNoDeadMessage: there is none with this id.
func (e *Engine) DeadLetter(ctx context.Context, id string) (ports.Message, error) {
	all, err := e.DeadLetters(ctx, mostDeadLetters)
	if err != nil {
		return ports.Message{}, err
	}
	i := slices.IndexFunc(all, func(m ports.Message) bool { return m.ID == id })
	if i < 0 {
		return ports.Message{}, noDeadLetter(id)
	}
	return all[i], nil
}

// SettleDeadLetter takes one of them away and gives it; with retry its command is sent again first.
func (e *Engine) SettleDeadLetter(ctx context.Context, id string, retry bool) (ports.Message, error) {
	if _, err := e.may(ctx, access.DeadLetters); err != nil {
		return ports.Message{}, err
	}
	m, err := e.Bus.Settle(ctx, e.CommandsTopic, id, retry)
	if errors.Is(err, ports.ErrNoDeadMessage) {
		err = noDeadLetter(id)
	}
	return e.discreet(ctx, m), err
}

func noDeadLetter(id string) error {
	return ports.ErrNoDeadMessage.Say("There is no dead letter with the id %q: it was settled before, or never was.", id)
}
