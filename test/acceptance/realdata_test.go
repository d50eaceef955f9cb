package acceptance

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"daybook/app"
)

// row is one line of real bank data: what moved an account, and the balance that the bank kept after it.
type row struct {
	account, id string
	at          time.Time
	amount      int64 // signed, minor units; 0: a row without money
	balance     int64
	version     int // of the account after the row; of its creation before the first one
	position    int64
	recordedAt  string
}

// realData reads a file of real bank data beside the repository, or skips loudly.
func realData(t *testing.T, name string, parse func(column func(string) string) row) []row {
	t.Helper()
	dir := os.Getenv("DAYBOOK_TEST_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	f, err := os.Open(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("SKIPPED: there is no %s in %s. Set DAYBOOK_TEST_DATA to the folder with the real bank data to run this.", name, dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	r := csv.NewReader(z)
	header, err := r.Read()
	if err != nil {
		t.Fatal(err)
	}
	var rows []row
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rows
		}
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, parse(func(column string) string {
			i := slices.Index(header, column)
			if i < 0 {
				t.Fatalf("%s has no column %q", name, column)
			}
			return record[i]
		}))
	}
}

// instant is a moment as it stands in a query or a body.
func instant(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func number(t *testing.T, s string) int64 {
	t.Helper()
	if s == "" {
		return 0
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func savings(t *testing.T) []row {
	return realData(t, "savings.csv.gz", func(column func(string) string) row {
		at, err := time.Parse("2006-01-02 15:04:05-07:00", column("timestamp"))
		if err != nil {
			t.Fatal(err)
		}
		r := row{account: column("account_id"), id: "savings-" + column("account_id") + "-" + column("seq"), at: at, balance: number(t, column("balance_after_minor"))}
		switch column("kind") {
		case "credit":
			r.amount = number(t, column("amount_minor"))
		case "debit":
			r.amount = -number(t, column("amount_minor"))
		}
		return r
	})
}

func berka(t *testing.T, accounts int) []row {
	seen := map[string]bool{}
	all := realData(t, "berka.csv.gz", func(column func(string) string) row {
		at, err := time.Parse(time.DateOnly, column("date"))
		if err != nil {
			t.Fatal(err)
		}
		amount := number(t, column("amount_minor"))
		if column("kind") == "debit" {
			amount = -amount
		}
		return row{
			account: column("account_id"), id: "berka-" + column("trans_id"), at: at,
			amount: amount + number(t, column("rounding_minor")), balance: number(t, column("balance_after_minor")),
		}
	})
	var rows []row
	for _, r := range all {
		if !seen[r.account] && len(seen) == accounts {
			continue
		}
		seen[r.account] = true
		rows = append(rows, r)
	}
	return rows
}

func TestRealDataComesOutRight(t *testing.T) {
	for name, rows := range map[string]func(*testing.T) []row{
		"21 savings accounts, whole":    savings,
		"the first 120 of 949 accounts": func(t *testing.T) []row { return berka(t, 120) },
	} {
		for where, on := range map[string]func(*testing.T) func(*app.Config){
			"embedded":      func(t *testing.T) func(*app.Config) { return onPebble(t.TempDir()) },
			"in production": inProduction,
		} {
			t.Run(where+", "+name, func(t *testing.T) {
				all := rows(t)
				d := start(t, on(t))
				accounts := d.postAll(all)
				d.checkViews(accounts)
				d.checkPast(accounts)
				d.checkStatements(accounts)
				d.checkSplits(accounts)
			})
		}
	}
}

// checkViews asks for every account as it is now, which the views answer.
func (d *daybook) checkViews(accounts map[string][]row) {
	d.t.Helper()
	var head int64
	for _, rows := range accounts {
		head = max(head, rows[len(rows)-1].position)
	}
	for id, rows := range accounts {
		last := rows[len(rows)-1]
		a := d.eventually(fmt.Sprintf("/v1/accounts/%s?minPosition=%d", id, head), 200)
		if a.member("balance") != last.balance || a.member("version") != int64(last.version) {
			d.t.Fatalf("%s is %s, want balance %d at version %d", id, a.body, last.balance, last.version)
		}
	}
}

// postAll sends the rows through the bulk door and holds the balance after every row against the bank's.
func (d *daybook) postAll(rows []row) map[string][]row {
	d.t.Helper()
	accounts := map[string][]row{}
	var lines bytes.Buffer
	var sent []row
	for _, r := range rows {
		if accounts[r.account] == nil {
			fmt.Fprintf(&lines, `{"id":"create-%s","account":"%s","command":"create","data":{"owner":"Owner of %s","currency":"CZK","overdraftLimit":100000000,"effectiveAt":%q}}`+"\n", r.account, r.account, r.account, instant(r.at))
			created := row{account: r.account, version: 1}
			sent = append(sent, created)
			accounts[r.account] = []row{created}
		}
		if r.amount == 0 {
			continue
		}
		command, amount := "deposit", r.amount
		if amount < 0 {
			command, amount = "withdraw", -amount
		}
		fmt.Fprintf(&lines, `{"id":"%s","account":"%s","command":"%s","data":{"amount":%d,"effectiveAt":%q}}`+"\n", r.id, r.account, command, amount, instant(r.at))
		r.version = len(accounts[r.account]) + 1
		accounts[r.account] = append(accounts[r.account], r)
		sent = append(sent, r)
	}
	answers := d.do("POST", "/v1/commands", "application/x-ndjson", &lines).want(d.t, 200)
	scanner := bufio.NewScanner(bytes.NewReader(answers.body))
	for i := range sent {
		if !scanner.Scan() {
			d.t.Fatalf("there are %d answers for %d lines", i, len(sent))
		}
		var got struct {
			Status   int
			Version  int
			Position int64
			Balance  int64
		}
		if err := json.Unmarshal(scanner.Bytes(), &got); err != nil {
			d.t.Fatal(err)
		}
		want := sent[i]
		if got.Status/100 != 2 || got.Version != want.version || got.Balance != want.balance {
			d.t.Fatalf("row %s of account %s answered %s, want version %d and balance %d", want.id, want.account, scanner.Bytes(), want.version, want.balance)
		}
		accounts[want.account][want.version-1].position = got.Position
	}
	return accounts
}

// checkPast asks every account for its balance at past points on all axes.
func (d *daybook) checkPast(accounts map[string][]row) {
	d.t.Helper()
	for id, rows := range accounts {
		d.noteRecordedTimes(id, rows)
		for i := 0; i < len(rows); i += max(1, len(rows)/7) {
			r := rows[i]
			for _, query := range []string{
				fmt.Sprintf("version=%d", r.version), fmt.Sprintf("position=%d", r.position), "at=" + r.recordedAt,
			} {
				a := d.get("/v1/accounts/"+id+"?"+query).want(d.t, 200)
				if a.member("balance") != r.balance || a.member("version") != int64(r.version) {
					d.t.Fatalf("%s with %s is %s, want balance %d at version %d", id, query, a.body, r.balance, r.version)
				}
			}
			if i == 0 {
				continue
			}
			moment := instant(r.at)
			a := d.get("/v1/accounts/"+id+"?effectiveAt="+moment+"&at="+rows[len(rows)-1].recordedAt).want(d.t, 200)
			if want := effective(rows, r.at.Add(1)); a.member("balance") != want {
				d.t.Fatalf("%s effective at %s is %s, want balance %d", id, moment, a.body, want)
			}
			a = d.get("/v1/accounts/"+id+"?effectiveAt="+moment+"&at="+r.recordedAt).want(d.t, 200)
			if want := effective(rows[:i+1], r.at.Add(1)); a.member("balance") != want {
				d.t.Fatalf("%s effective at %s as known at %s is %s, want balance %d", id, moment, r.recordedAt, a.body, want)
			}
		}
	}
}

// effective is the sum of what happened before a moment.
func effective(rows []row, before time.Time) (sum int64) {
	for _, r := range rows {
		if r.at.Before(before) {
			sum += r.amount
		}
	}
	return sum
}

// noteRecordedTimes takes the recorded time of every entry from the account's history, page by page.
func (d *daybook) noteRecordedTimes(id string, rows []row) {
	d.t.Helper()
	n := 0
	for after := "0"; after != ""; {
		var page struct {
			Items []struct {
				Version    int
				RecordedAt string
			}
			Next string
		}
		a := d.get("/v1/accounts/"+id+"/events?limit=1000&after="+after).want(d.t, 200)
		if err := json.Unmarshal(a.body, &page); err != nil {
			d.t.Fatal(err)
		}
		for _, e := range page.Items {
			if rows[n].version != e.Version {
				d.t.Fatalf("the history of %s has version %d in place of %d", id, e.Version, rows[n].version)
			}
			rows[n].recordedAt = e.RecordedAt
			n++
		}
		after = page.Next
	}
	if n != len(rows) {
		d.t.Fatalf("the history of %s has %d events, want %d", id, n, len(rows))
	}
}

// checkStatements asks for the statement of each year and of all time.
func (d *daybook) checkStatements(accounts map[string][]row) {
	d.t.Helper()
	for id, rows := range accounts {
		rows = rows[1:]
		first, last := rows[0].at.Year(), rows[len(rows)-1].at.Year()
		for year := first; year <= last; year++ {
			from, to := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(year+1, 1, 1, 0, 0, 0, 0, time.UTC)
			a := d.get(fmt.Sprintf("/v1/accounts/%s/statement?from=%s&to=%s", id, instant(from), instant(to))).want(d.t, 200)
			opening, closing := effective(rows, from), effective(rows, to)
			if a.member("openingBalance") != opening || a.member("closingBalance") != closing {
				d.t.Fatalf("the statement of %s for %d goes from %v to %v, want %d to %d", id, year, a.member("openingBalance"), a.member("closingBalance"), opening, closing)
			}
		}
	}
}

// checkSplits cuts the time of every account at moments of its rows and just beside them, as known now and
// as known after a row: each period opens with what the one before closed with, and with what the rows add up to.
func (d *daybook) checkSplits(accounts map[string][]row) {
	d.t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	for id, rows := range accounts {
		known := rows[1:]
		at := ""
		if random.IntN(2) == 0 {
			known = rows[1 : 2+random.IntN(len(rows)-1)]
			at = "&at=" + known[len(known)-1].recordedAt
		}
		var cuts []time.Time
		for range 6 {
			cuts = append(cuts, rows[1+random.IntN(len(rows)-1)].at.Add(time.Duration(random.IntN(3)-1)*time.Second))
		}
		slices.SortFunc(cuts, time.Time.Compare)
		cuts = slices.CompactFunc(cuts, time.Time.Equal)
		balance, entries := int64(0), 0
		for i := range len(cuts) + 1 {
			period := ""
			if i > 0 {
				period += "&from=" + instant(cuts[i-1])
				if want := effective(known, cuts[i-1]); balance != want {
					d.t.Fatalf("%s%s closes with %d before %s, want %d", id, at, balance, cuts[i-1], want)
				}
			}
			if i < len(cuts) {
				period += "&to=" + instant(cuts[i])
			}
			for cursor := ""; ; {
				a := d.get(fmt.Sprintf("/v1/accounts/%s/statement?limit=50%s%s%s", id, period, at, cursor)).want(d.t, 200)
				var page struct {
					OpeningBalance, ClosingBalance int64
					Entries                        []struct{ Amount, Balance int64 }
					Next                           string
				}
				if err := json.Unmarshal(a.body, &page); err != nil {
					d.t.Fatal(err)
				}
				if cursor == "" && balance != page.OpeningBalance {
					d.t.Fatalf("%s%s opens with %d, the period before closed with %d", id, period, page.OpeningBalance, balance)
				}
				for _, e := range page.Entries {
					if balance += e.Amount; balance != e.Balance {
						d.t.Fatalf("%s%s has an entry of %d that leaves %d, want %d", id, period, e.Amount, e.Balance, balance)
					}
				}
				entries += len(page.Entries)
				if page.Next == "" {
					if balance != page.ClosingBalance {
						d.t.Fatalf("%s%s closes with %d, its entries with %d", id, period, page.ClosingBalance, balance)
					}
					break
				}
				cursor = "&cursor=" + page.Next
			}
		}
		if entries != len(known) {
			d.t.Fatalf("the periods of %s%s have %d entries together, want %d", id, at, entries, len(known))
		}
	}
}
