package importer_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"daybook/adapters/importer"
)

// ledger answers lines as a server does: once per id, accounts must exist, balances may not fall below zero.
type ledger struct {
	done     map[string]importer.Answer // by id, with what was done kept apart in content
	content  map[string]string
	balances map[string]int64
	wrote    []string          // id, account and signed amount of all that was done
	known    string            // the currency
	others   map[string]string // accounts in another one
}

func newLedger() *ledger {
	return &ledger{done: map[string]importer.Answer{}, content: map[string]string{}, balances: map[string]int64{}, known: "CZK"}
}

func (l *ledger) answer(line []byte) importer.Answer {
	var e struct {
		ID, Account, Command string
		Data                 struct {
			Amount   int64  `json:"amount"`
			Currency string `json:"currency"`
		} `json:"data"`
	}
	if err := json.Unmarshal(line, &e, json.MatchCaseInsensitiveNames(true)); err != nil {
		return importer.Answer{Status: 400, Reason: err.Error()}
	}
	if a, ok := l.done[e.ID]; ok {
		if l.content[e.ID] != string(line) {
			return importer.Answer{Status: 422, Code: "idempotency_key_mismatch", Reason: "the id was used for something else"}
		}
		a.Replayed = true
		return a
	}
	a := l.decide(e.ID, e.Account, e.Command, e.Data.Currency, e.Data.Amount)
	if a.Status != 400 {
		l.done[e.ID], l.content[e.ID] = a, string(line)
	}
	return a
}

func (l *ledger) decide(id, account, command, currency string, amount int64) importer.Answer {
	balance, exists := l.balances[account]
	if command == "withdraw" {
		amount = -amount
	}
	switch {
	case command == "create" && currency != l.known:
		return importer.Answer{Status: 400, Code: "invalid", Reason: "the currency is not known"}
	case command == "create" && exists:
		return importer.Answer{Status: 409, Code: "account_exists", Reason: "it exists"}
	case command != "create" && !exists:
		return importer.Answer{Status: 404, Code: "account_not_found", Reason: "there is no such account"}
	case balance+amount < 0:
		return importer.Answer{Status: 422, Code: "insufficient_funds", Reason: "not enough money"}
	}
	l.balances[account] = balance + amount
	l.wrote = append(l.wrote, fmt.Sprintf("%s %s %+d", id, account, amount))
	return importer.Answer{Status: 200, Position: uint64(len(l.wrote))}
}

// created is 1 for what created an account. Creates go out when their account is first met, which may be long before its row.
func created(wrote string) int { return strings.Count(wrote, ":create:") }

func (l *ledger) currency(_ context.Context, account string) (string, error) {
	return cmp.Or(l.others[account], l.known), nil
}

// outcome is what an import leaves behind.
type outcome struct {
	counts  importer.Counts
	rejects string
	retried string
	err     error
}

// importing sends a file through a mapping to a ledger. before is the rejects file, and what was retried, of the run before.
func (l *ledger) importing(t *testing.T, mapping, file string, before *outcome, retry bool) outcome {
	t.Helper()
	var o outcome
	var rows *importer.Reader
	m, err := importer.ReadMapping(strings.NewReader(mapping))
	if err != nil {
		return outcome{err: err}
	}
	if retry {
		rows, err = importer.NewRejectsReader(strings.NewReader(before.rejects))
	} else {
		rows, err = importer.NewReader(strings.NewReader(file), []rune(m.Separator)[0])
	}
	if err != nil {
		return outcome{err: err}
	}
	plan, err := m.Bind(rows.Header())
	if err != nil {
		return outcome{err: err}
	}
	var rejected, remembered bytes.Buffer
	if before != nil {
		remembered.WriteString(before.retried)
	}
	rejects := importer.NewRejects(rows.Header(), func() (io.Writer, error) { return &rejected, nil })
	retried, err := importer.NewRetried(strings.NewReader(remembered.String()), func() (io.Writer, error) { return &remembered, nil })
	if err != nil {
		t.Fatal(err)
	}
	run := importer.NewRun(importer.Options{Rows: rows, Plan: plan, Rejects: rejects, Retried: retried, Currency: l.currency})
	for o.err == nil {
		line, err := run.Next(context.Background())
		if o.err = err; err == nil {
			run.Answered(line, l.answer(line.JSON))
		}
	}
	if errors.Is(o.err, io.EOF) {
		o.err = nil
	}
	if err := run.Finish(); err != nil {
		t.Fatal(err)
	}
	o.counts, o.rejects, o.retried = run.Counts(), rejected.String(), remembered.String()
	return o
}
