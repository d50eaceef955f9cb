package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"daybook/adapters/apiclient"
)

// visible measures how long it takes from the answer to a command until a query of another server, or of the same, has seen
// it: the query says which position it wants to see and is answered when the view has got there.
func (w *worker) visible(ctx context.Context) {
	client := &http.Client{Timeout: w.patience, Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for ctx.Err() == nil && time.Now().Before(w.to) {
		account := apiclient.Segment(w.account(w.target()))
		position, err := w.call(ctx, client, http.MethodPost, w.server+"/v1/accounts/"+account+"/deposit", `{"amount":1}`)
		if err == nil {
			begun := time.Now()
			if _, err = w.call(ctx, client, http.MethodGet, w.reads+"/v1/accounts/"+account+"?minPosition="+position, ""); err == nil {
				w.answered(begun, time.Now(), 1)
				continue
			}
		}
		w.failed(err.Error())
		if apiclient.Pause(ctx, 100*time.Millisecond) != nil {
			return
		}
	}
}

// call sends one request and gives the position its answer names.
func (w *worker) call(ctx context.Context, client *http.Client, method, to, body string) (position string, err error) {
	req, err := http.NewRequestWithContext(ctx, method, to, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if w.shown != "" {
		req.Header.Set("Authorization", w.shown)
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%d %s", resp.StatusCode, text)
	}
	return resp.Header.Get("Daybook-Position"), err
}
