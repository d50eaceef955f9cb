package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Bulk lines go out in blocks, and a block's time runs until its last line is answered.
const (
	blockLines = 64
	blocksOpen = 32 // on their way at once, per connection
)

// bulk streams lines over one connection until the step ends.
func (w *worker) bulk(ctx context.Context) {
	ctx, cancel := context.WithDeadline(ctx, w.to.Add(w.patience))
	defer cancel()
	body, out := io.Pipe()
	sent := make(chan time.Time, blocksOpen)
	written := make(chan struct{})
	go func() {
		defer close(written)
		_ = out.CloseWithError(w.writeBlocks(ctx, out, sent))
	}()
	if err := w.readBlocks(ctx, body, sent); err != nil && ctx.Err() == nil {
		w.failed(err.Error())
	}
	cancel()
	_ = body.Close()
	<-written
}

func (w *worker) writeBlocks(ctx context.Context, out io.Writer, sent chan<- time.Time) error {
	defer close(sent)
	var block []byte
	var n int64
	digits := make([]byte, accountDigits)
	for time.Now().Before(w.to) {
		block = block[:0]
		for range blockLines {
			n++
			block = append(block, `{"id":"`...)
			block = append(block, w.prefix...)
			block = append(block, '-')
			block = append(block, w.name...)
			block = append(block, '-')
			block = strconv.AppendInt(block, int64(w.number), 10)
			block = append(block, '-')
			block = strconv.AppendInt(block, n, 10)
			block = append(block, `","account":"`...)
			block = append(block, w.prefix...)
			block = append(block, '-')
			setDigits(digits, int64(w.target()))
			block = append(block, digits...)
			block = append(block, "\",\"command\":\"deposit\",\"data\":{\"amount\":1}}\n"...)
		}
		select {
		case sent <- time.Now():
		case <-ctx.Done():
			return ctx.Err()
		}
		if _, err := out.Write(block); err != nil {
			return err
		}
	}
	return nil
}

// readBlocks reads the answers and records a block at its last one. Of an answer it looks at the status alone.
func (w *worker) readBlocks(ctx context.Context, body io.Reader, sent <-chan time.Time) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+w.host+"/v1/commands", body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	if w.shown != "" {
		req.Header.Set("Authorization", w.shown)
	}
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return fmt.Errorf("%s: %s", resp.Status, text)
	}
	in := bufio.NewReaderSize(resp.Body, 64<<10)
	for begun := range sent {
		good := int64(0)
		for range blockLines {
			line, err := in.ReadSlice('\n')
			if err != nil {
				return err
			}
			if bytes.Contains(line, []byte(`"status":200`)) {
				good++
			} else {
				w.failed(string(line))
			}
		}
		w.answered(begun, time.Now(), good)
	}
	return nil
}
