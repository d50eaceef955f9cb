package main

import (
	"cmp"
	"context"
	"io"
	"net/url"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"daybook/adapters/apiclient"
)

// statement is a page of what the server tells of a period.
type statement struct {
	ID       jsontext.Value   `json:"id"`
	Currency jsontext.Value   `json:"currency"`
	From     jsontext.Value   `json:"from"`
	To       jsontext.Value   `json:"to"`
	At       jsontext.Value   `json:"at"`
	Opening  jsontext.Value   `json:"openingBalance"`
	Entries  []jsontext.Value `json:"entries"`
	Closing  jsontext.Value   `json:"closingBalance"`
	Next     string           `json:"next"`
}

func newAccountStatement() *cobra.Command {
	cmd := &cobra.Command{
		Use: "statement ID", Short: "What moved the balance in a period, with the balance after each entry",
		Example: `  daybook account statement acc-101
  daybook account statement acc-101 --from 2025-10-01T00:00:00Z --to 2025-11-01T00:00:00Z -o csv > october.csv`,
	}
	cmd.Flags().String("from", "", "start of the period, included (RFC 3339); its beginning when missing")
	cmd.Flags().String("to", "", "end of the period, not included (RFC 3339); open when missing")
	cmd.Flags().String("at", "", "as it was known at this moment (RFC 3339)")
	params := map[string]string{"from": "from", "to": "to", "at": "at"}
	return accountCommand(cmd, params, func(cmd *cobra.Command, c *apiclient.Client, f *format, path string, query url.Values) error {
		pages := func(each func(*statement) error) error {
			return statementPages(cmd.Context(), c, path+"/statement", query, each)
		}
		if f.name == "json" {
			return printStatementObject(cmd.OutOrStdout(), pages)
		}
		return printStatement(newList(cmd.OutOrStdout(), f, column{"happened", "effectiveAt", 20}, column{"entry", "eventType", 19},
			column{"amount", "amount", 10}, column{"balance", "balance", 10}, column{"description", "description", 0}), pages)
	})
}

// statementPages calls each with the pages of one statement, in order.
func statementPages(ctx context.Context, c *apiclient.Client, path string, query url.Values, each func(*statement) error) error {
	query.Set("limit", "1000")
	for {
		body, err := c.Get(ctx, path, query)
		if err != nil {
			return err
		}
		var s statement
		if err := json.Unmarshal(body, &s); err != nil {
			return err
		}
		if err := each(&s); err != nil || s.Next == "" {
			return err
		}
		query.Set("cursor", s.Next)
	}
}

// printStatement prints the entries between a row for the opening and one for the closing balance; as NDJSON the entries alone.
func printStatement(l *list, pages func(each func(*statement) error) error) error {
	balance := func(name string, at, v jsontext.Value) error {
		if l.format == "ndjson" {
			return nil
		}
		row, err := json.Marshal(map[string]any{"eventType": name, "effectiveAt": at, "balance": v})
		if err != nil {
			return err
		}
		return l.add(row)
	}
	first := true
	err := pages(func(s *statement) error {
		if first {
			if err := balance("OpeningBalance", s.From, s.Opening); err != nil {
				return err
			}
		}
		first = false
		for _, row := range s.Entries {
			if err := l.add(row); err != nil {
				return err
			}
		}
		if s.Next == "" {
			return balance("ClosingBalance", s.To, s.Closing)
		}
		return nil
	})
	if err != nil {
		_ = l.flush()
		return err
	}
	return l.end()
}

// printStatementObject prints the pages as the one object that the server gives without them.
func printStatementObject(out io.Writer, pages func(each func(*statement) error) error) error {
	e := jsontext.NewEncoder(out, jsontext.WithIndent("  "), jsontext.PreserveRawStrings(true))
	member := func(name string, v jsontext.Value) error {
		return cmp.Or(e.WriteToken(jsontext.String(name)), e.WriteValue(harmlessJSON(v)))
	}
	first := true
	return pages(func(s *statement) error {
		var err error
		if first {
			err = cmp.Or(e.WriteToken(jsontext.BeginObject), member("id", s.ID), member("currency", s.Currency), member("from", s.From), member("to", s.To),
				member("at", s.At), member("openingBalance", s.Opening), e.WriteToken(jsontext.String("entries")), e.WriteToken(jsontext.BeginArray))
		}
		first = false
		for i := 0; i < len(s.Entries) && err == nil; i++ {
			err = e.WriteValue(harmlessJSON(s.Entries[i]))
		}
		if err == nil && s.Next == "" {
			err = cmp.Or(e.WriteToken(jsontext.EndArray), member("closingBalance", s.Closing), e.WriteToken(jsontext.EndObject))
		}
		return err
	})
}
