package membus

import (
	"context"
	"slices"

	"github.com/ThreeDotsLabs/watermill/message"
)

// mostKept is how many dead messages of one topic are kept; then the oldest go.
const mostKept = 10_000

// keep adds copies of the messages to what is kept of the topic.
func (b *Bus) keep(topic string, messages []*message.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	kept := b.kept[topic]
	for _, m := range messages {
		kept = append(kept, m.Copy())
	}
	b.kept[topic] = kept[max(0, len(kept)-mostKept):]
}

// Dead gives up to limit of what is kept of a topic, oldest first.
func (b *Bus) Dead(_ context.Context, topic string, limit int) ([]*message.Message, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	kept := b.kept[topic]
	return slices.Clone(kept[:min(limit, len(kept))]), b.refused()
}

// Settle takes away the first kept message with this id once use has succeeded with it.
func (b *Bus) Settle(_ context.Context, topic, id string, use func(*message.Message) error) (bool, error) {
	m := b.find(topic, id)
	if m == nil {
		return false, b.refused()
	}
	if err := use(m); err != nil {
		return true, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept[topic] = slices.DeleteFunc(slices.Clone(b.kept[topic]), func(other *message.Message) bool { return other == m })
	return true, nil
}

func (b *Bus) find(topic, id string) *message.Message {
	b.mu.RLock()
	defer b.mu.RUnlock()
	i := slices.IndexFunc(b.kept[topic], func(m *message.Message) bool { return m.UUID == id })
	if i < 0 {
		return nil
	}
	return b.kept[topic][i]
}
