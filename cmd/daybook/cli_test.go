package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"daybook/app"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("os/signal.loop"))
}

// serving runs Daybook in memory.
func serving(t *testing.T) *app.App {
	t.Helper()
	c := app.Default()
	c.Store.Driver = "memory"
	return servingOn(t, c)
}

// servingOn runs Daybook as it is configured, on any port.
func servingOn(t *testing.T, c app.Config) *app.App {
	t.Helper()
	c.HTTP.Addr = "127.0.0.1:0"
	a, err := app.New(c, app.Build{Version: "test"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	return a
}

// cli runs command lines against one server, in one folder.
type cli struct {
	t   *testing.T
	app *app.App
	dir string
}

func newCLI(t *testing.T) *cli {
	t.Helper()
	a := serving(t)
	t.Setenv("DAYBOOK_SERVER", a.URL())
	dir := t.TempDir()
	t.Chdir(dir)
	return &cli{t, a, dir}
}

// file writes a file into the folder.
func (c *cli) file(name, text string) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// do runs one command line, whose words are parted by spaces.
func (c *cli) do(line string) (code int, stdout, stderr string) {
	c.t.Helper()
	var out, err bytes.Buffer
	code = run(context.Background(), strings.Fields(line), strings.NewReader(""), &out, &err)
	return code, out.String(), err.String()
}

// want runs a command line that must end with the code and say each of the texts.
func (c *cli) want(code int, line string, texts ...string) string {
	c.t.Helper()
	got, stdout, stderr := c.do(line)
	if got != code {
		c.t.Fatalf("%s: exit code %d, not %d\n%s%s", line, got, code, stdout, stderr)
	}
	for _, text := range texts {
		if !strings.Contains(stdout+stderr, text) {
			c.t.Fatalf("%s: does not say %q:\n%s%s", line, text, stdout, stderr)
		}
	}
	return stdout
}

const bankYAML = `name: bank
account: acc
id: no
time: {column: day, layout: "2006-01-02", zone: UTC}
amount: amount
format: decimal
digits: 2
direction: sign
description: text
create: {owner: "Owner of {acc}", currency: CZK}
`

const bankHead = "acc,no,day,amount,text\n"

// packed is a text as gzip.
func packed(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.String()
}

func TestImport(t *testing.T) {
	c := newCLI(t)
	c.file("bank.yaml", bankYAML)
	c.file("bank.csv.gz", packed(bankHead+
		"a,1,2020-01-01,100.00,=salary\n"+
		"a,2,2020-01-02,-30.50,rent\n"+
		"a,3,2020-01-03,-1000.00,too much\n"+
		"b,4,2020-01-03,0.00,nothing\n"+
		"b,5,2020-01-03,five,broken\n"))
	summary := func(line string, code int) (counts map[string]any) {
		t.Helper()
		out := c.want(code, line+" -o json")
		if err := json.Unmarshal([]byte(out), &counts); err != nil {
			t.Fatal(err, out)
		}
		return counts
	}
	is := func(counts map[string]any, want string) {
		t.Helper()
		got := fmt.Sprint(counts["accounts"], counts["posted"], counts["alreadyThere"], counts["skipped"], counts["rejected"])
		if got != want {
			t.Fatalf("accounts, posted, there, skipped, rejected: %s, not %s", got, want)
		}
	}
	const line = "import bank.csv.gz --mapping bank.yaml"

	is(summary(line, exitRefused), "2 2 0 1 2")
	is(summary(line, exitRefused), "2 0 2 1 2")
	rejects, err := os.ReadFile("bank.csv.gz.rejects.csv")
	if err != nil || !strings.HasPrefix(string(rejects), "acc,no,day,amount,text,rejected_line,rejected_reason,rejected_refusals\na,3,2020-01-03,-1000.00,too much,4,") {
		t.Fatalf("%v %s", err, rejects)
	}
	c.want(exitOK, "account get a -o csv", "a,Owner of a,CZK,open,6950,0,[],3,")
	c.want(exitOK, "account statement a -o csv", "2020-01-01T00:00:00Z,MoneyDeposited,10000,10000,'=salary\n")
	c.want(exitOK, "account history a", "MoneyWithdrawn", "rent")

	c.file("bank.csv.gz.rejects.csv", strings.NewReplacer("-1000.00", "-10.00", "five", "5").Replace(string(rejects)))
	is(summary(line+" --retry-rejected", exitOK), "2 2 0 0 0")
	c.want(exitFailure, line+" --retry-rejected", "there is no bank.csv.gz.rejects.csv: no row is rejected")
	c.want(exitOK, "account get a -o csv", ",5950,")
	c.want(exitOK, "account get b -o csv", ",500,")
}

func TestImportEnvelopes(t *testing.T) {
	c := newCLI(t)
	c.file("all.ndjson", `{"id":"1","account":"a","command":"create","data":{"owner":"Ada","currency":"EUR"}}
{"id":"2","account":"a","command":"deposit","data":{"amount":500}}
{"id":"3","account":"a","command":"withdraw","data":{"amount":10.0}}
`)
	c.want(exitRefused, "import all.ndjson", "1 rows were rejected")
	c.want(exitOK, "account get a -o ndjson", `"balance":500`)
}

func TestImportProblems(t *testing.T) {
	c := newCLI(t)
	c.file("bank.yaml", bankYAML)
	c.file("euro.yaml", strings.Replace(bankYAML, "CZK", "EUR", 1))
	c.file("nowhere.yaml", strings.Replace(bankYAML, "CZK", "QQQ", 1))
	c.file("empty.yaml", "")
	c.file("typo.yaml", strings.Replace(bankYAML, "amount: amount", "amuont: amount", 1))
	row := "a,1,2020-01-01,100.00,x\n"
	var many strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&many, "c,%d,2020-01-01,%d.00,%x\n", 1000+i, i+1, i*7919)
	}
	whole := packed(bankHead + many.String())
	for name, text := range map[string]string{
		"good.csv": bankHead + row, "empty.csv": "", "column.csv": "acc,no,day,sum,text\n" + row,
		"lines.ndjson": `{"id":"1"}` + "\n", "cut.csv.gz": whole[:len(whole)/2], "latin1.csv": bankHead + "a,7,2020-01-01,1.00,\xe9\n",
		"future.csv": bankHead + "a,8,2999-01-01,1.00,x\n", "long.csv": bankHead + "a,9,2020-01-01,1.00," + strings.Repeat("x", 201) + "\n",
		"other.csv": bankHead + "a,1,2020-01-01,7.00,other content\n", "broke.csv": bankHead + "b,10,2020-01-01,-1.00,x\n",
		"quote.csv": bankHead + "b,11,2020-01-01,1.00,\"open\n", "few.csv": bankHead + "b,12\n", "zero.csv": bankHead + "b,13,2020-01-01,0,x\n",
		"twice.csv": bankHead + "b,14,2020-01-01,1.00,x\nb,14,2020-01-01,1.00,x\n", "id.csv": bankHead + "a b,15,2020-01-01,1.00,x\n",
	} {
		c.file(name, text)
	}
	c.want(exitOK, "import good.csv --mapping bank.yaml")
	rejected := func(file string) string {
		text, err := os.ReadFile(file + ".rejects.csv")
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, p := range []struct {
		name, line string
		code       int
		says       string
		rejects    string // what the rejects file says
	}{
		{"no file named", "import", exitUsage, "accepts 1 arg(s), received 0", ""},
		{"no such file", "import no.csv --mapping bank.yaml", exitFailure, "open no.csv: no such file", ""},
		{"no such mapping", "import good.csv --mapping no.yaml", exitFailure, "open no.yaml: no such file", ""},
		{"empty mapping", "import good.csv --mapping empty.yaml", exitUsage, "mapping empty.yaml: the mapping is empty", ""},
		{"a typo in the mapping", "import good.csv --mapping typo.yaml", exitUsage, "mapping typo.yaml: line 5: there is no key amuont", ""},
		{"CSV without a mapping", "import good.csv", exitUsage, "CSV is imported with a mapping (--mapping)", ""},
		{"envelopes with a mapping", "import lines.ndjson --mapping bank.yaml", exitFailure, "lines of JSON, not CSV", ""},
		{"an empty file", "import empty.csv --mapping bank.yaml", exitFailure, "the file is empty", ""},
		{"a missing column", "import column.csv --mapping bank.yaml", exitUsage, `no column "amount", which the mapping names as amount; its columns are "acc", "no", "day", "sum", "text"`, ""},
		{"a server that is no URL", "import good.csv --mapping bank.yaml --server localhost", exitUsage, `the server "localhost" is not a URL`, ""},
		{"nobody there", "import good.csv --mapping bank.yaml --server http://127.0.0.1:1", exitUnavailable, "cannot reach Daybook at http://127.0.0.1:1", ""},
		{"an unknown format", "import good.csv --mapping bank.yaml -o xml", exitUsage, "choose one of table, json", ""},
		{"an unknown flag", "import good.csv --maping bank.yaml", exitUsage, "unknown flag: --maping", ""},
		{"nothing to retry", "import good.csv --mapping bank.yaml --retry-rejected", exitFailure, "there is no good.csv.rejects.csv", ""},
		{"not a rejects file", "import good.csv --mapping bank.yaml --retry-rejected --rejects good.csv", exitFailure, "this is not a rejects file", ""},
		{"a truncated gzip", "import cut.csv.gz --mapping bank.yaml", exitFailure, "the file breaks off in line ", ""},
		{"an unknown currency", "import broke.csv --mapping nowhere.yaml", exitRefused, "1 rows were rejected", "its account could not be created: "},
		{"another currency", "import other.csv --mapping euro.yaml", exitRefused, "1 rows were rejected", "account a is there already and is in CZK, not in EUR"},
		{"other content under the same id", "import other.csv --mapping bank.yaml", exitRefused, "1 rows were rejected", "idempotency_key_mismatch"},
		{"not enough money", "import broke.csv --mapping bank.yaml", exitRefused, "1 rows were rejected", "insufficient_funds"},
		{"a time in the future", "import future.csv --mapping bank.yaml", exitRefused, "1 rows were rejected", "effectiveAt"},
		{"a long text", "import long.csv --mapping bank.yaml", exitRefused, "1 rows were rejected", "must be 1 to 200 characters long"},
		{"not UTF-8", "import latin1.csv --mapping bank.yaml", exitRefused, "1 rows were rejected", "is not UTF-8"},
		{"an open quote", "import quote.csv --mapping bank.yaml", exitRefused, "1 rows were rejected", "is not CSV"},
		{"too few fields", "import few.csv --mapping bank.yaml", exitRefused, "1 rows were rejected", "has 2 fields where the header has 5"},
		{"an id that is none", "import id.csv --mapping bank.yaml", exitRefused, "1 rows were rejected", "must be 1 to 64 of A-Z"},
		{"nothing but zero", "import zero.csv --mapping bank.yaml", exitOK, "", ""},
		{"an id twice", "import twice.csv --mapping bank.yaml", exitOK, "1 rows carry an id that was used before", ""},
	} {
		t.Run(p.name, func(t *testing.T) {
			c.t = t
			c.want(p.code, p.line, p.says)
			if file := strings.Fields(p.line); p.rejects != "" && !strings.Contains(rejected(file[1]), p.rejects) {
				t.Fatalf("the rejects file does not say %q:\n%s", p.rejects, rejected(file[1]))
			}
		})
	}
	t.Run("of a truncated gzip the whole rows are posted", func(t *testing.T) {
		c.t = t
		if out := c.want(exitOK, "account get c -o ndjson"); strings.Contains(out, `"balance":0,`) {
			t.Fatal(out)
		}
	})
}

func TestLooking(t *testing.T) {
	c := newCLI(t)
	c.file("all.ndjson", `{"id":"1","account":"a","command":"create","data":{"owner":"\u001b[31mAda\u202e","currency":"EUR"},"x":1}
{"id":"2","account":"a","command":"create","data":{"owner":"Ada \u202eLovelace","currency":"EUR"}}
{"id":"3","account":"a","command":"deposit","data":{"amount":500,"effectiveAt":"2020-01-01T00:00:00Z","description":"=1+1"}}
{"id":"4","account":"a","command":"withdraw","data":{"amount":100}}
`)
	c.want(exitRefused, "import all.ndjson")
	for _, p := range []struct {
		line string
		code int
		says string
	}{
		{"account get a", exitOK, "owner           Ada \\u202eLovelace\n"},
		{"account get a --version 2 -o ndjson", exitOK, `"balance":500`},
		{"account get a --effective-at 2020-01-01T00:00:00Z -o ndjson", exitOK, `"balance":500`},
		{"account get a --at 2020-01-01T00:00:00Z", exitNotFound, "account_not_found"},
		{"account get a --at yesterday", exitUsage, "RFC 3339"},
		{"account get a --version 9", exitNotFound, ""},
		{"account get nobody", exitNotFound, "account_not_found"},
		{"account get", exitUsage, "See: daybook account get -h"},
		{"account history a -o csv", exitOK, "3,MoneyWithdrawn,"},
		{"account history a -o json", exitOK, "[\n  {\"id\":\"evt-1\""},
		{"account statement a", exitOK, "ClosingBalance"},
		{"account statement a --to 2021-01-01T00:00:00Z -o csv", exitOK, "2021-01-01T00:00:00Z,ClosingBalance,,500,"},
		{"account statement a -o ndjson", exitOK, `"description":"=1+1"`},
		{"events tail -n 1 -o ndjson", exitOK, `{"id":"evt-3"`},
		{"events tail --after 0 --type AccountCreated -o csv", exitOK, "\n1,a,1,AccountCreated,"},
		{"events tail --type Nonsense", exitUsage, "must be one of"},
		{"events tail -o json --after 3", exitOK, "[]\n"},
		{"rebuild", exitOK, "The views are built again from 3 events."},
		{"rebuild -o ndjson", exitOK, `"state":"done"`},
		{"help exit-codes", exitOK, "3  what was asked for does not exist"},
		{"import -h", exitOK, "Examples:\n  daybook import savings.csv.gz"},
		{"acount", exitUsage, "Did you mean this?\n\taccount"},
		{"bench --mode fast", exitUsage, "choose deposit, hot, bulk or visible"},
	} {
		t.Run(p.line, func(t *testing.T) {
			c.t = t
			c.want(p.code, p.line, p.says)
		})
	}
	t.Run("data goes to standard output, words to standard error", func(t *testing.T) {
		if _, stdout, stderr := c.do("account get a"); stdout == "" || stderr != "" {
			t.Fatal(stdout, stderr)
		}
		if _, stdout, stderr := c.do("account get nobody"); stdout != "" || stderr == "" {
			t.Fatal(stdout, stderr)
		}
	})
}

func TestFollow(t *testing.T) {
	c := newCLI(t)
	c.file("first.ndjson", `{"id":"1","account":"a","command":"create","data":{"owner":"Ada","currency":"EUR"}}`)
	c.file("second.ndjson", `{"id":"2","account":"a","command":"deposit","data":{"amount":500}}`)
	c.want(exitOK, "import first.ndjson")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	events, out := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, strings.Fields("events tail --follow -o ndjson"), nil, out, io.Discard)
	}()
	lines := bufio.NewScanner(events)
	next := func(want string) {
		t.Helper()
		if !lines.Scan() || !strings.Contains(lines.Text(), want) {
			t.Fatalf("%q does not say %q", lines.Text(), want)
		}
	}
	t.Run("what was there comes first, what is written comes as it is written, and an interrupt is a good end", func(t *testing.T) {
		next("AccountCreated")
		c.want(exitOK, "import second.ndjson")
		next("MoneyDeposited")
		cancel()
		if code := <-ended; code != exitOK {
			t.Fatal(code)
		}
	})
}

func TestBench(t *testing.T) {
	c := newCLI(t)
	for _, mode := range []string{"deposit --keys", "hot", "bulk", "visible"} {
		t.Run(mode, func(t *testing.T) {
			c.t = t
			out := c.want(exitOK, "bench --connections 1,3 --duration 100ms --warmup 0s --accounts 10 -o ndjson --mode "+mode)
			for line := range strings.Lines(out) {
				var s step
				if err := json.Unmarshal([]byte(line), &s); err != nil || s.Done == 0 || s.Errors != 0 || s.P50 <= 0 {
					t.Fatalf("%v %s", err, line)
				}
			}
			if strings.Count(out, "\n") != 2 {
				t.Fatal(out)
			}
		})
	}
}

func TestHealth(t *testing.T) {
	c := newCLI(t)
	c.want(exitOK, "health", "running", "store", "head at position 0")
	c.want(exitOK, "health -o json", `"status"`)
	c.want(exitUnavailable, "health --server http://127.0.0.1:1", "127.0.0.1:1")
}
