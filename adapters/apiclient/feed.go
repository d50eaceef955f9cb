package apiclient

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// silence is how long the feed may send nothing at all, not even a heartbeat, before it counts as broken.
const silence = 60 * time.Second

// Follow gives the events of the live feed as the query filters them, beginning after a position ("" for the server's default),
// until the context ends or each fails. When the connection breaks it connects again and resumes after the last event it gave:
// none is left out and none given twice. broken, which may be nil, is told before each new connection.
func (c *Client) Follow(ctx context.Context, query url.Values, after string, each func(event jsontext.Value) error, broken func(err error, again time.Duration)) error {
	var down outage
	query = cloned(query)
	if after != "" {
		query.Set("after", after)
	}
	last := ""
	for {
		got, err := c.listen(ctx, query, &last, each)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if got {
			down = outage{reached: true}
		}
		wait, goOn := down.next(err, c.patience)
		if !goOn {
			return err
		}
		if broken != nil {
			broken(err, wait)
		}
		if err := Pause(ctx, wait); err != nil {
			return err
		}
	}
}

// listen reads one connection's events and keeps the id of the last one. It ends with an error, always.
func (c *Client) listen(ctx context.Context, query url.Values, last *string, each func(jsontext.Value) error) (got bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	quiet := time.AfterFunc(silence, func() { cancel(context.DeadlineExceeded) })
	defer quiet.Stop()

	header := http.Header{"Accept": {"text/event-stream"}}
	if *last != "" {
		header.Set("Last-Event-ID", *last)
		query.Del("after")
	}
	resp, err := c.do(ctx, http.MethodGet, "/v1/feed", query, header, nil)
	if err != nil {
		return false, err
	}
	defer func() { _ = resp.Body.Close() }()
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind != "text/event-stream" {
		return false, fmt.Errorf("%s answers the feed with %q instead of events; is it a Daybook?", c.Server(), kind)
	}
	in := bufio.NewReaderSize(resp.Body, 64<<10)
	var message message
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			if err == io.EOF {
				err = errCut
			}
			return got, &Unreachable{c.Server(), err}
		}
		quiet.Reset(silence)
		if !message.add(line) {
			continue
		}
		if id, data := message.take(); len(data) > 0 {
			if !data.IsValid() {
				return got, fmt.Errorf("%s sends an event that is not JSON; is it a Daybook?", c.Server())
			}
			got = true
			if err := each(data); err != nil {
				return got, err
			}
			if id != "" {
				*last = id
			}
		}
	}
}

// message is one server-sent event being read.
type message struct {
	id   string
	data []byte
}

// add takes one line and reports whether it, being empty, ends the message.
func (m *message) add(line []byte) (ended bool) {
	line = bytes.TrimRight(line, "\r\n")
	field, value, _ := bytes.Cut(line, []byte{':'})
	value = bytes.TrimPrefix(value, []byte{' '})
	switch string(field) {
	case "id":
		m.id = string(value)
	case "data":
		if len(m.data) > 0 {
			m.data = append(m.data, '\n')
		}
		m.data = append(m.data, value...)
	}
	return len(line) == 0
}

// take gives the message and makes room for the next.
func (m *message) take() (id string, data jsontext.Value) {
	id, data = m.id, m.data
	*m = message{}
	return id, data
}
