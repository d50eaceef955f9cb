package httpapi

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// FuzzRequest sends any request that a server takes in: the answer is never a failure of our own, what is JSON can be read as that, and
// each refusal says what it is by a code.
func FuzzRequest(f *testing.F) {
	w := newWorld(f)
	w.create("a", "1")
	w.post("/v1/accounts/a/deposit", `{"amount":100}`)
	next := w.get("/v1/events?limit=1").json(f)["next"]
	for _, r := range [][5]string{
		{"GET", "/v1/feed?after=1", "Last-Event-ID", "1", ""},
		{"GET", "/v1/accounts?sort=-balance&limit=1&status=open", "Accept", "application/json", ""},
		{"GET", "/v1/accounts/a?at=2025-10-28T09:00:00Z&version=1&effectiveAt=2025-10-28", "If-None-Match", `"1"`, ""},
		{"GET", "/v1/accounts/a/statement?from=2025-01-01T00:00:00Z&limit=1", "Accept", "text/csv", ""},
		{"GET", fmt.Sprint("/v1/events?type=MoneyDeposited&cursor=", next), "Prefer", "wait=1", ""},
		{"GET", "/v1/events/evt-1/proof", "X-Request-Id", "r", ""},
		{"POST", "/v1/accounts/a/transfer", "Idempotency-Key", "k", `{"to":"b","amount":5,"reference":"x","effectiveAt":"2025-10-28T09:00:00Z"}`},
		{"POST", "/v1/accounts/a/correct", "If-Match", `"2"`, `{"event":"evt-2","reason":"a \u0000 mistake"}`},
		{"POST", "/v1/commands?atomic=true", "Content-Type", "application/x-ndjson", `{"id":"1","account":"a","command":"deposit","data":{"amount":1}}` + "\n{}\n"},
		{"POST", "/v1/keys", "Authorization", "Bearer dbk_a_b", `{"subject":"till","roles":["teller"],"expiresIn":"1h"}`},
		{"GET", "/v1/dead-letters?limit=1", "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", ""},
	} {
		f.Add(r[0], r[1], r[2], r[3], r[4])
	}
	f.Fuzz(func(t *testing.T, method, target, name, value, body string) {
		raw := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\n%s: %s\r\nContent-Length: %d\r\n\r\n%s", method, target, name, value, len(body), body)
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			return
		}
		if r.URL.Path == "/v1/feed" && r.Method == http.MethodGet { // would go on
			r.Method = http.MethodHead
		}
		r.RemoteAddr = "127.0.0.1:1"
		answer := httptest.NewRecorder()
		w.api.ServeHTTP(answer, r.WithContext(t.Context()))
		text, kind := answer.Body.Bytes(), answer.Header().Get("Content-Type")
		if answer.Code == http.StatusInternalServerError {
			t.Fatalf("%q is answered with %d %s", raw, answer.Code, text)
		}
		if strings.Contains(kind, "json") && !strings.Contains(kind, "ndjson") && len(text) > 0 && !json.Valid(text) {
			t.Fatalf("%q is answered with %s that is none: %q", raw, kind, text)
		}
		var problem struct{ Code string }
		if answer.Code >= 400 && r.Method != http.MethodHead && (json.Unmarshal(text, &problem) != nil || problem.Code == "") {
			t.Fatalf("%q is refused with %d %q, which has no code", raw, answer.Code, text)
		}
	})
}
