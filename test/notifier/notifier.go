// Package notifier is an example of a reactor, as a program that embeds Daybook would have one: it tells somebody outside
// when an account is frozen. It lives only in tests.
package notifier

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"daybook/core/engine"
	"daybook/core/es"
)

// New posts each AccountFrozen that is recorded from since on to the URL, as it is stored. The header Idempotency-Key is the
// event's id, as a notification may be sent again after a crash. Until it is answered with 2xx it is sent again and those
// behind it wait.
func New(url string, since time.Time) engine.Reactor {
	return engine.Reactor{
		Name: "notify-frozen", Types: []string{"AccountFrozen"}, Since: since,
		React: func(ctx context.Context, e *es.Recorded) error {
			ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(e.JSON()))
			if err != nil {
				return err
			}
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Idempotency-Key", e.Position.EventID())
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)); err != nil {
				return err
			}
			if resp.StatusCode/100 != 2 {
				return fmt.Errorf("notifier: %s answered %s", url, resp.Status)
			}
			return nil
		},
	}
}
