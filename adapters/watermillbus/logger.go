package watermillbus

import (
	"log/slog"

	"github.com/ThreeDotsLabs/watermill"
)

// logger passes on what Watermill calls errors, as warnings: each is tried again or gone to the dead letters. What is
// below is dropped at no cost, since the router speaks of every message.
type logger struct{ log *slog.Logger }

func (l logger) Error(msg string, err error, fields watermill.LogFields) {
	l.log.Warn(msg, append(attributes(fields), "err", err)...)
}

func (logger) Info(string, watermill.LogFields)  {}
func (logger) Debug(string, watermill.LogFields) {}
func (logger) Trace(string, watermill.LogFields) {}

func (l logger) With(fields watermill.LogFields) watermill.LoggerAdapter {
	return logger{l.log.With(attributes(fields)...)}
}

func attributes(fields watermill.LogFields) []any {
	out := make([]any, 0, 2*len(fields)+2)
	for name, value := range fields {
		out = append(out, name, value)
	}
	return out
}
