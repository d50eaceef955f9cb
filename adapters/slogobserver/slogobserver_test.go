package slogobserver

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
)

// lines gives what use makes the observer log.
func lines(t *testing.T, use func(o *Observer)) []map[string]any {
	t.Helper()
	var text strings.Builder
	use(New(slog.New(slog.NewJSONHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	var all []map[string]any
	for line := range strings.Lines(text.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatal(err)
		}
		all = append(all, fields)
	}
	return all
}

func TestALineAboutACommandTellsItFromAllOthers(t *testing.T) {
	d := ports.Decision{Module: "accounts", Command: "deposit", Stream: "acc-1", Err: ports.ErrOutcomeUnknown, Metadata: &es.Metadata{
		RequestID: "r-1", CorrelationID: "c-1", Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", CommandID: "the key",
	}}
	got := lines(t, func(o *Observer) { o.Decided(d) })
	if len(got) != 1 {
		t.Fatalf("%d lines", len(got))
	}
	for field, want := range map[string]any{
		"level": "ERROR", "module": "accounts", "command": "deposit", "account": "acc-1", "request": "r-1", "correlation": "c-1",
		"trace": "0af7651916cd43dd8448eb211c80319c", "error": d.Err.Error(),
	} {
		if got[0][field] != want {
			t.Errorf("%s is %v, want %v", field, got[0][field], want)
		}
	}
	d.Metadata = &es.Metadata{}
	for _, field := range []string{"request", "correlation", "trace"} {
		if _, ok := lines(t, func(o *Observer) { o.Decided(d) })[0][field]; ok {
			t.Errorf("%s is there though nobody gave one", field)
		}
	}
}

func TestAnswersThatAreInOrderAreNotLogged(t *testing.T) {
	got := lines(t, func(o *Observer) {
		o.Decided(ports.Decision{Metadata: &es.Metadata{}})
		o.Decided(ports.Decision{Metadata: &es.Metadata{}, Err: fault.New(fault.Rejected, "insufficient_funds", "")})
		o.Committed(ports.Commit{})
		o.Relayed(ports.Passage{})
		o.Projected(ports.Passage{}, 1)
	})
	if len(got) > 0 {
		t.Errorf("logged %v", got)
	}
}

func TestWhatNobodyWaitsForIsLogged(t *testing.T) {
	got := lines(t, func(o *Observer) {
		o.Parked("accounts", "acc-1", ports.ErrViewParked)
		o.Failed("project", ports.ErrViewUnavailable)
		o.Led("views", 7, true)
		o.Led("views", 7, false)
	})
	if len(got) != 4 || got[0]["account"] != "acc-1" || got[0]["level"] != "ERROR" || got[1]["work"] != "project" || got[1]["level"] != "WARN" ||
		got[2]["lease"] != "views" || got[2]["token"] != 7. || got[3]["level"] != "INFO" {
		t.Errorf("logged %v", got)
	}
}
