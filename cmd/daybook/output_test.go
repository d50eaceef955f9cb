package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode"
)

// instructions are what a terminal takes for more than text: it erases what stands there, answers as if it was typed, or is disguised.
const instructions = "\x1b[2J\u009b6n\x7f\r\u202e\u200b"

// rule are the control characters in what a command printed, apart from the ends of lines.
func rule(printed string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' {
			return r
		}
		return -1
	}, printed)
}

// evil is a server all of whose texts hold instructions.
func evil(t *testing.T) (url string) {
	t.Helper()
	text, err := json.Marshal(instructions + "\nforged,line")
	if err != nil {
		t.Fatal(err)
	}
	object := fmt.Sprintf(`{"id":%[1]s,"head":7,"aggregateId":%[1]s,"prefix":%[1]s,"key":%[1]s,"subject":%[1]s,"detail":%[1]s,"reason":%[1]s,"roles":[%[1]s],"eventType":%[1]s,%[1]s:[%[1]s],`+
		`"currency":%[1]s,"from":null,"to":null,"at":null,"openingBalance":0,"entries":[{"description":%[1]s}],"closingBalance":0}`, text)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/v1/feed":
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = fmt.Fprint(w, "id: 1\ndata: {\"aggregateId\":\""+strings.ReplaceAll(instructions, "\r", "")+"\"}\n\n")
		case strings.Contains(r.URL.Path, "/y"):
			w.WriteHeader(http.StatusNotFound)
			_, _ = fmt.Fprint(w, object)
		case r.URL.Path == "/v1/status", strings.HasSuffix(r.URL.Path, "/x"), strings.HasSuffix(r.URL.Path, "/statement"), strings.HasSuffix(r.URL.Path, "/z/revoke"), strings.HasSuffix(r.URL.Path, "/z/rotate"):
			_, _ = fmt.Fprint(w, object)
		default:
			_, _ = fmt.Fprintf(w, `{"items":[%s]}`, object)
		}
	}))
	t.Cleanup(server.Close)
	t.Setenv("DAYBOOK_SERVER", server.URL)
	return server.URL
}

func TestNothingThatIsPrintedRulesATerminal(t *testing.T) {
	url := evil(t)
	c := &cli{t: t}
	for _, line := range []string{"dlq ls", "dlq show x", "audit", "account get x", "account history x", "account statement x", "events tail", "keys list --server " + url} {
		for _, format := range []string{"table", "json", "ndjson", "csv"} {
			code, out, errs := c.do(line + " -o " + format)
			if code == exitUsage {
				continue // the command has no such format
			}
			if got := rule(out + errs); got != "" || strings.Contains(errs, "\nforged") || code != exitOK {
				t.Errorf("%s as %s ends with %d and prints %q", line, format, code, out+errs)
			}
			if format == "table" && (strings.Contains(out, "\nforged") || !strings.Contains(out, `\x1b[2J`)) {
				t.Errorf("%s: the text is not shown as it is:\n%q", line, out)
			}
		}
	}
	for _, line := range []string{"dlq show y", "dlq show \x1b[2J/y", "\x1b[2J", "account get x --server http://\x1b[2J", "keys revoke y --server " + url} {
		if _, out, errs := c.do(line); rule(out+errs) != "" || strings.Contains(errs, "\nforged") || errs == "" {
			t.Errorf("%q prints %q", line, out+errs)
		}
	}
	for _, line := range []string{"keys revoke z", "keys rotate z"} {
		if code, out, errs := c.do(line + " --server " + url); code != exitOK || rule(out+errs) != "" || strings.Contains(out+errs, "\nforged") {
			t.Errorf("%s ends with %d and prints %q", line, code, out+errs)
		}
	}
	if code, out, errs := c.do("events tail -f -o ndjson"); code == exitOK || rule(out+errs) != "" || out != "" {
		t.Errorf("a feed that is no JSON: %d %q", code, out+errs)
	}
}

func TestWhatIsPrintedForProgramsIsReadByThemAsItWas(t *testing.T) {
	evil(t)
	c := &cli{t: t}
	var letter struct{ Reason string }
	if err := json.Unmarshal([]byte(c.want(exitOK, "dlq show x -o json")), &letter); err != nil || letter.Reason != instructions+"\nforged,line" {
		t.Errorf("got %q, %v", letter.Reason, err)
	}
	var statement struct {
		Entries []struct{ Description string }
	}
	if err := json.Unmarshal([]byte(c.want(exitOK, "account statement x -o json")), &statement); err != nil || statement.Entries[0].Description != instructions+"\nforged,line" {
		t.Errorf("got %q, %v", statement, err)
	}
	rows, err := csv.NewReader(strings.NewReader(c.want(exitOK, "dlq ls -o csv"))).ReadAll()
	if err != nil || len(rows) != 2 || rows[1][1] != `\x1b[2J\u009b6n\x7f\r`+"\u202e\u200b\nforged,line" {
		t.Errorf("got %q, %v", rows, err)
	}
}
