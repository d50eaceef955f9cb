package watermillbus

import (
	"context"
	"maps"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"

	"daybook/core/ports"
)

// chain is what a message goes through, from the outside in. The poison queue is outside the retries, so that it sees only
// how they ended; the recoverer is inside them, so that a panic is tried again like an error.
func chain(pub message.Publisher, o Options) ([]message.HandlerMiddleware, error) {
	poison, err := middleware.PoisonQueueWithFilter(deadLetters{pub, o.Log}, "dead", ports.Dead)
	if err != nil {
		return nil, err
	}
	retry := middleware.Retry{
		MaxRetries:      o.Retries,
		InitialInterval: o.FirstRetry,
		MaxInterval:     o.LastRetry,
		Multiplier:      1.5, // taken twice per attempt, as ShouldRetry is asked with the pause to come
		ShouldRetry:     func(p middleware.RetryParams) bool { return !ports.Dead(p.Err) },
		Logger:          logger{o.Log},
	}
	return []message.HandlerMiddleware{correlate, poison, onFailure(retry.Middleware), middleware.Recoverer}, nil
}

// onFailure applies a middleware only to messages whose handling failed, with that failure as its first attempt: what the
// retries set up costs more than all the rest of a message that succeeds.
func onFailure(retry message.HandlerMiddleware) message.HandlerMiddleware {
	return func(h message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			produced, err := h(m)
			if err == nil {
				return produced, nil
			}
			attempts := 0
			return retry(func(m *message.Message) ([]*message.Message, error) {
				if attempts++; attempts == 1 {
					return produced, err
				}
				return h(m)
			})(m)
		}
	}
}

// correlation is the context key of the correlation id of the message that is being handled.
type correlation struct{}

// correlate puts the message's correlation id into its context. Watermill's own middleware of this name serves messages
// that a handler returns; ours publishes them.
func correlate(h message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) ([]*message.Message, error) {
		m.SetContext(withCorrelation(m))
		return h(m)
	}
}

func withCorrelation(m *message.Message) context.Context {
	if id := middleware.MessageCorrelationID(m); id != "" {
		return context.WithValue(m.Context(), correlation{}, id)
	}
	return m.Context()
}

// correlated is the headers with the correlation id of ctx, if it has one and they do not.
func correlated(ctx context.Context, headers map[string]string) map[string]string {
	id, ok := ctx.Value(correlation{}).(string)
	if !ok || headers[middleware.CorrelationIDMetadataKey] != "" {
		return headers
	}
	headers = maps.Clone(headers)
	if headers == nil {
		headers = map[string]string{}
	}
	headers[middleware.CorrelationIDMetadataKey] = id
	return headers
}
