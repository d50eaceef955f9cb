package cluster

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"daybook/test/books"
)

// witness is a test inside a test: it notes what it is told is wrong.
type witness struct {
	testing.TB

	wrong []string
}

func (w *witness) Helper()             {}
func (w *witness) Logf(string, ...any) {}
func (w *witness) Errorf(format string, args ...any) {
	w.wrong = append(w.wrong, fmt.Sprintf(format, args...))
}

func (w *witness) Fatalf(format string, args ...any) {
	w.Errorf(format, args...)
	panic(w)
}

// history is one that is right: a is created and filled, b is created and gets something from a.
const history = `{"id":"evt-1","aggregateId":"a","eventType":"AccountCreated","version":1,"position":1,"recordedAt":"2025-01-01T00:00:01Z","data":{},"metadata":{"commandId":"k1"}}
{"id":"evt-2","aggregateId":"a","eventType":"MoneyDeposited","version":2,"position":2,"recordedAt":"2025-01-01T00:00:02Z","data":{"amount":9},"metadata":{"commandId":"k2"}}
{"id":"evt-3","aggregateId":"b","eventType":"AccountCreated","version":1,"position":3,"recordedAt":"2025-01-01T00:00:03Z","data":{},"metadata":{"commandId":"k3"}}
{"id":"evt-4","aggregateId":"a","eventType":"MoneyTransferredOut","version":3,"position":4,"recordedAt":"2025-01-01T00:00:04Z","data":{"amount":4,"to":"b","transferId":"t"},"metadata":{"commandId":"k4"}}
{"id":"evt-5","aggregateId":"b","eventType":"MoneyTransferredIn","version":2,"position":5,"recordedAt":"2025-01-01T00:00:04Z","data":{"amount":4,"from":"a","transferId":"t"},"metadata":{"commandId":"k4"}}`

// told is what clients were told in that history, besides one that was refused.
func told() map[string]Final {
	taken := func(version, position, balance int64) *Answer {
		return &Answer{Status: http.StatusOK, Version: version, Position: position, Balance: balance}
	}
	return map[string]Final{
		"k1": {books.Command{Key: "k1", Account: "a", Verb: "create"}, taken(1, 1, 0), false},
		"k2": {books.Command{Key: "k2", Account: "a", Verb: "deposit", Amount: 9}, taken(2, 2, 9), false},
		"k3": {books.Command{Key: "k3", Account: "b", Verb: "create"}, taken(1, 3, 0), false},
		"k4": {books.Command{Key: "k4", Account: "a", Verb: "transfer", To: "b", Amount: 4}, taken(3, 5, 5), false},
		"k5": {books.Command{Key: "k5", Account: "a", Verb: "withdraw", Amount: 40}, &Answer{Status: http.StatusUnprocessableEntity}, false},
	}
}

// check holds the answers against a store with these events, and gives what is wrong.
func check(t *testing.T, events string, finals map[string]Final) (wrong []string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"items":[%s]}`, strings.ReplaceAll(events, "\n", ","))
	}))
	defer server.Close()
	w := &witness{TB: t}
	defer func() {
		if r := recover(); r != nil && r != any(w) {
			panic(r)
		}
		wrong = w.wrong
	}()
	CheckAnswers(w, ReadBooks(w, server.URL), finals)
	return w.wrong
}

func TestTheChecksPassWhatIsRightAndFindWhatIsWrong(t *testing.T) {
	if wrong := check(t, history, told()); len(wrong) > 0 {
		t.Fatalf("a history that is right is found wrong: %v", wrong)
	}
	lines := strings.Split(history, "\n")
	for what, events := range map[string]string{
		"the last event is lost, and half of a transfer with it": strings.Join(lines[:4], "\n"),
		"a command is lost":                             strings.Join(lines[:3], "\n"),
		"a position has a gap":                          strings.ReplaceAll(history, `"evt-5"`, `"evt-6"`),
		"a command has two effects":                     history + "\n" + strings.NewReplacer(`"evt-2"`, `"evt-6"`, `"version":2,"position":2`, `"version":4,"position":6`, "00:00:02Z", "00:00:09Z").Replace(lines[1]),
		"a version has a gap":                           strings.Replace(history, `"version":3`, `"version":4`, 1),
		"time goes back":                                strings.Replace(history, "00:00:03Z", "00:00:01Z", 1),
		"an amount is another":                          strings.Replace(history, `"amount":9`, `"amount":8`, 1),
		"a transfer gives another amount than it takes": strings.Replace(history, `"amount":4,"from"`, `"amount":5,"from"`, 1),
		"somebody else has written":                     strings.Replace(history, `"k1"`, `"k6"`, 1),
		"what was refused is there":                     strings.Replace(history, `"k2"`, `"k5"`, 1),
	} {
		if wrong := check(t, events, told()); len(wrong) == 0 {
			t.Errorf("%s, and nobody finds it", what)
		}
	}
	for what, change := range map[string]func(*Answer){
		"position": func(a *Answer) { a.Position++ },
		"version":  func(a *Answer) { a.Version-- },
		"balance":  func(a *Answer) { a.Balance++ },
	} {
		finals := told()
		change(finals["k2"].Answer)
		if wrong := check(t, history, finals); len(wrong) == 0 {
			t.Errorf("a client was told another %s, and nobody finds it", what)
		}
	}
}
