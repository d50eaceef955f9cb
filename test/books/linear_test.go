package books

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// stored is a ledger: a is created and filled, b is created and gets something from a.
const stored = `[
{"id":"evt-1","aggregateId":"a","eventType":"AccountCreated","version":1,"position":1,"recordedAt":"2025-01-01T00:00:01Z","metadata":{"commandId":"k1"}},
{"id":"evt-2","aggregateId":"a","eventType":"MoneyDeposited","version":2,"position":2,"recordedAt":"2025-01-01T00:00:02Z","data":{"amount":9},"metadata":{"commandId":"k2"}},
{"id":"evt-3","aggregateId":"b","eventType":"AccountCreated","version":1,"position":3,"recordedAt":"2025-01-01T00:00:03Z","metadata":{"commandId":"k3"}},
{"id":"evt-4","aggregateId":"a","eventType":"MoneyTransferredOut","version":3,"position":4,"recordedAt":"2025-01-01T00:00:04Z","data":{"amount":4,"to":"b","transferId":"t"},"metadata":{"commandId":"k4"}},
{"id":"evt-5","aggregateId":"b","eventType":"MoneyTransferredIn","version":2,"position":5,"recordedAt":"2025-01-01T00:00:04Z","data":{"amount":4,"from":"a","transferId":"t"},"metadata":{"commandId":"k4"}}]`

// lived is what clients did meanwhile: some of it at the same time, one was told nothing, and one was refused in between.
func lived() []Op {
	took := func(c Command, version, position, balance int64) []Told {
		return []Told{{Command: c, Became: Taken, Version: version, Position: position, Balance: balance}}
	}
	return []Op{
		{Called: 0, Answered: 10, Commands: took(Command{Key: "k1", Account: "a", Verb: "create"}, 1, 1, 0)},
		{Called: 11, Answered: 20, Commands: []Told{{Command: Command{Key: "k5", Account: "a", Verb: "withdraw", Amount: 5}, Became: Refused, Code: "insufficient_funds"}}},
		{Called: 12, Answered: Forever, Commands: []Told{{Command: Command{Key: "k2", Account: "a", Verb: "deposit", Amount: 9}}}},
		{Called: 20, Answered: 30, Commands: took(Command{Key: "k3", Account: "b", Verb: "create"}, 1, 3, 0)},
		{Called: 31, Answered: 45, Read: &Reading{Account: "b", Version: 1, Status: "open"}},
		{Called: 32, Answered: 40, Commands: took(Command{Key: "k4", Account: "a", Verb: "transfer", To: "b", Amount: 4}, 3, 5, 5)},
		{Called: 41, Answered: 50, Read: &Reading{Account: "a", Version: 3, Balance: 5, Status: "open"}},
		{Called: 41, Answered: Forever, Commands: []Told{{Command: Command{Key: "k6", Account: "a", Verb: "close"}}}},
	}
}

func TestAHistoryIsLinearizableIfItHasAnOrder(t *testing.T) {
	var events []Event
	if err := json.Unmarshal([]byte(stored), &events); err != nil {
		t.Fatal(err)
	}
	b := Open(events, t.Errorf)
	b.CheckHistory(lived(), t.Errorf)
	for what, change := range map[string]func([]Op){
		"somebody reads what is no longer so":            func(ops []Op) { ops[4].Called = 41 },
		"somebody reads what is not yet so":              func(ops []Op) { ops[6].Called, ops[6].Answered = 1, 5 },
		"somebody reads another balance":                 func(ops []Op) { ops[6].Read.Balance++ },
		"somebody finds an account closed":               func(ops []Op) { ops[6].Read.Status = "closed" },
		"a refusal has no reason":                        func(ops []Op) { ops[1].Called, ops[1].Answered = 33, 39 },
		"a command was done before it was sent":          func(ops []Op) { ops[3].Called, ops[3].Answered = 46, 47 },
		"a later command was done before an earlier one": func(ops []Op) { ops[2].Called = 31 },
		"a balance is wrong":                             func(ops []Op) { ops[5].Commands[0].Balance++ },
		"what was refused is a version that was there": func(ops []Op) {
			ops[1].Commands[0] = Told{Command: Command{Key: "k5", Account: "a", Verb: "create"}, Became: Refused}
			ops[1].Called, ops[1].Answered = -2, -1
		},
	} {
		history, wrong := lived(), []string{}
		change(history)
		b.CheckHistory(history, func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) })
		if !slices.ContainsFunc(wrong, func(s string) bool { return strings.Contains(s, "not linearizable") }) {
			t.Errorf("%s, and nobody finds it: %v", what, wrong)
		}
	}
}
