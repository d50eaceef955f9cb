package importer_test

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"daybook/adapters/importer"
	"daybook/test/faulttable"
)

const byWords = `
name: bank
account: acc
id: no
time: {column: day, layout: "2006-01-02", zone: UTC}
amount: amount
format: minor
direction: {column: kind, deposit: [in], withdraw: [out], skip: [note]}
adjustment: extra
description: [text]
create: {owner: "Owner of {acc}", currency: CZK}
`

const head = "acc,no,day,amount,kind,extra,text\n"

func TestImport(t *testing.T) {
	faulttable.Covers(t, "F64", faulttable.Memory)
	t.Run("rows become commands in the file's order, after the create of their account", func(t *testing.T) {
		l := newLedger()
		o := l.importing(t, byWords, head+
			"a,1,2020-01-01,500,in,0,first\n"+
			"b,2,2020-01-01,70,in,,\n"+
			"a,3,2020-01-02,200,out,-10,\"second, with a comma\"\n"+
			"a,4,2020-01-02,0,note,0,\n"+
			"a,5,2020-01-02,0,in,0,\n"+
			"a,6,2020-01-02,0,in,5,only the adjustment\n", nil, false)
		want := "bank:create:a a +0|bank:create:b b +0|bank:1 a +500|bank:2 b +70|bank:3 a -210|bank:6 a +5"
		slices.SortStableFunc(l.wrote, func(a, b string) int { return cmp.Compare(created(b), created(a)) })
		if got := strings.Join(l.wrote, "|"); got != want || o.err != nil {
			t.Fatalf("%v\n got %s\nwant %s", o.err, got, want)
		}
		if want := (importer.Counts{Rows: 6, Accounts: 2, Created: 2, Posted: 4, Skipped: 2}); o.counts != want {
			t.Fatalf("%+v", o.counts)
		}
		if got := l.content["bank:3"]; got != `{"id":"bank:3","account":"a","command":"withdraw","data":{"amount":210,"effectiveAt":"2020-01-02T00:00:00Z","description":"second, with a comma"}}` {
			t.Fatal(got)
		}
		if got := l.content["bank:create:a"]; got != `{"id":"bank:create:a","account":"a","command":"create","data":{"owner":"Owner of a","currency":"CZK","overdraftLimit":0}}` {
			t.Fatal(got)
		}
	})

	t.Run("a second run adds nothing", func(t *testing.T) {
		l := newLedger()
		file := head + "a,1,2020-01-01,500,in,0,\na,2,2020-01-01,5,out,0,\na,3,2020-01-01,bad,out,0,\n"
		l.importing(t, byWords, file, nil, false)
		before := strings.Join(l.wrote, "|")
		o := l.importing(t, byWords, file, nil, false)
		if got := strings.Join(l.wrote, "|"); got != before {
			t.Fatalf("it added to %s: %s", before, got)
		}
		if want := (importer.Counts{Rows: 3, Accounts: 1, AlreadyThere: 2, Rejected: 1}); o.counts != want {
			t.Fatalf("%+v", o.counts)
		}
	})

	t.Run("a run that ends anywhere and is done again gives the same ledger", func(t *testing.T) {
		file := head + "a,1,2020-01-01,500,in,0,\nb,2,2020-01-01,5,in,0,\na,3,2020-01-01,7,out,0,\n"
		whole := newLedger()
		whole.importing(t, byWords, file, nil, false)
		for end := range file {
			l := newLedger()
			l.importing(t, byWords, file[:strings.LastIndexByte(file[:end], '\n')+1], nil, false)
			l.importing(t, byWords, file, nil, false)
			slices.Sort(l.wrote)
			slices.Sort(whole.wrote)
			if !slices.Equal(l.wrote, whole.wrote) {
				t.Fatalf("ended after %d bytes: %v", end, l.wrote)
			}
		}
	})

	t.Run("an account that exists already is used as it is", func(t *testing.T) {
		l := newLedger()
		l.balances["a"] = 1000
		o := l.importing(t, byWords, head+"a,1,2020-01-01,500,in,0,\n", nil, false)
		if o.counts.Posted != 1 || o.counts.Created != 0 || l.balances["a"] != 1500 {
			t.Fatalf("%+v", o.counts)
		}
	})

	t.Run("an account that exists already in another currency takes no rows", func(t *testing.T) {
		l := newLedger()
		l.balances["a"], l.balances["b"] = 1000, 1000
		file := head + "a,1,2020-01-01,500,in,0,\nc,2,2020-01-01,500,in,0,\na,3,2020-01-01,500,out,0,\n"
		l.others = map[string]string{"a": "IDR"}
		o := l.importing(t, byWords, file, nil, false)
		if o.counts.Posted != 1 || o.counts.Rejected != 2 || !strings.Contains(o.rejects, "account a is there already and is in IDR, not in CZK") {
			t.Fatalf("%+v %s", o.counts, o.rejects)
		}
		o = l.importing(t, strings.Replace(byWords, "account: acc", `account: "bank-{acc}"`, 1), strings.ReplaceAll(file, ",", ",9"), nil, false)
		if l.balances["a"] != 1000 || l.balances["bank-a"] != 0 {
			t.Fatalf("%+v %v", o.counts, l.balances)
		}
	})

	t.Run("an id that two rows share is posted once and told", func(t *testing.T) {
		l := newLedger()
		row := "a,1,2020-01-01,500,in,0,\n"
		o := l.importing(t, byWords, head+row+row, nil, false)
		if o.counts.Posted != 1 || o.counts.AlreadyThere != 1 || o.counts.RepeatedIDs != 1 {
			t.Fatalf("%+v", o.counts)
		}
	})

	t.Run("a currency that is not known spends no row's id: with a mended mapping the same run works", func(t *testing.T) {
		l := newLedger()
		file := head + "a,1,2020-01-01,500,in,0,\na,2,2020-01-01,500,in,0,\n"
		o := l.importing(t, strings.Replace(byWords, "CZK", "CZX", 1), file, nil, false)
		if o.counts.Rejected != 2 || len(l.done) != 0 || !strings.Contains(o.rejects, "2,its account could not be created: the currency is not known,0\n") {
			t.Fatalf("%+v %s", o.counts, o.rejects)
		}
		if o = l.importing(t, byWords, file, nil, false); o.counts.Posted != 2 || o.counts.Rejected != 0 {
			t.Fatalf("%+v %s", o.counts, o.rejects)
		}
	})

	t.Run("without create, rows of unknown accounts are refused", func(t *testing.T) {
		l := newLedger()
		o := l.importing(t, byWords[:strings.Index(byWords, "create:")], head+"a,1,2020-01-01,500,in,0,\n", nil, false)
		if o.counts.Rejected != 1 || !strings.Contains(o.rejects, "there is no such account,1\n") {
			t.Fatalf("%+v %s", o.counts, o.rejects)
		}
	})
}

func TestRetry(t *testing.T) {
	file := head + "a,1,2020-01-01,500,out,0,=1+1\na,2,2020-01-01,200,in,0,\na,3,2020-01-01,x5,in,0,\n"
	l := newLedger()
	first := l.importing(t, byWords, file, nil, false)
	want := head[:len(head)-1] + ",rejected_line,rejected_reason,rejected_refusals\n" +
		"a,1,2020-01-01,500,out,0,'=1+1,2,not enough money,1\n" +
		"a,3,2020-01-01,x5,in,0,,4,\"column \"\"amount\"\": \"\"x5\"\" is not an integer in minor units; amounts like 12.34 need format: decimal\",0\n"
	if first.rejects != want {
		t.Fatalf("got  %s\nwant %s", first.rejects, want)
	}

	mended := first
	mended.rejects = strings.Replace(first.rejects, "x5", "400", 1)
	second := l.importing(t, byWords, "", &mended, true)
	t.Run("a mended row is posted under its own id, a refused one is asked again under a new one", func(t *testing.T) {
		if second.counts.Posted != 1 || l.content["bank:3"] == "" || l.done["bank:1:retry-1"].Status != 422 {
			t.Fatalf("%+v %v", second.counts, l.wrote)
		}
		if !strings.HasSuffix(second.rejects, "'=1+1,2,not enough money,2\n") {
			t.Fatal(second.rejects)
		}
	})

	third := l.importing(t, byWords, "", &second, true)
	t.Run("once the money is there it is posted, with its text as it was", func(t *testing.T) {
		if third.counts.Posted != 1 || third.rejects != "" || !strings.Contains(l.content["bank:1:retry-2"], `"description":"=1+1"`) {
			t.Fatalf("%+v %v %s", third.counts, l.wrote, third.rejects)
		}
	})

	t.Run("a retry that is done again adds nothing", func(t *testing.T) {
		before := len(l.wrote)
		o := l.importing(t, byWords, "", &second, true)
		if len(l.wrote) != before || o.counts.AlreadyThere != 1 {
			t.Fatalf("%+v %v", o.counts, l.wrote)
		}
	})

	t.Run("the whole file again adds nothing, even when the server has forgotten its refusals", func(t *testing.T) {
		delete(l.done, "bank:1")
		l.balances["a"] += 10000
		before := len(l.wrote)
		o := l.importing(t, byWords, strings.Replace(file, "x5", "400", 1), &third, false)
		if len(l.wrote) != before || o.counts.AlreadyThere != 3 {
			t.Fatalf("%+v %v", o.counts, l.wrote)
		}
	})
}

func TestEnvelopes(t *testing.T) {
	run := func(l *ledger, rows *importer.Reader) (importer.Counts, string) {
		var rejected bytes.Buffer
		rejects := importer.NewRejects(rows.Header(), func() (io.Writer, error) { return &rejected, nil })
		retried, _ := importer.NewRetried(nil, func() (io.Writer, error) { return io.Discard, nil })
		r := importer.NewRun(importer.Options{Rows: rows, Rejects: rejects, Retried: retried})
		for {
			line, err := r.Next(t.Context())
			if err != nil {
				_ = r.Finish()
				return r.Counts(), rejected.String()
			}
			r.Answered(line, l.answer(line.JSON))
		}
	}
	l := newLedger()
	l.balances["a"] = 0
	rows, err := importer.NewLines(strings.NewReader(
		`{"id":"1","account":"a","command":"withdraw","data":{"amount":5}}` + "\r\n\n" +
			`{"account":"a","command":"deposit","data":{"amount":5}}` + "\n" +
			`{"id":"3","account":"a","command":"deposit","data":{"amount":5}`))
	if err != nil {
		t.Fatal(err)
	}
	counts, rejects := run(l, rows)
	t.Run("lines without an id and lines that are not JSON are rejected", func(t *testing.T) {
		if counts.Rows != 3 || counts.Rejected != 3 || !strings.Contains(rejects, "it has no id") || !strings.Contains(rejects, ",4,is not an envelope: ") {
			t.Fatalf("%+v %s", counts, rejects)
		}
	})
	t.Run("a refused one is sent again under a new id", func(t *testing.T) {
		l.balances["a"] = 5
		again, err := importer.NewRejectsReader(strings.NewReader(rejects))
		if err != nil {
			t.Fatal(err)
		}
		counts, _ := run(l, again)
		if counts.Posted != 1 || l.content["1:retry-1"] != `{"id":"1:retry-1","account":"a","command":"withdraw","data":{"amount":5}}` {
			t.Fatalf("%+v %v", counts, l.content)
		}
	})
}

func TestFilesThatBreakOff(t *testing.T) {
	file := head
	for i := range 5000 {
		file += fmt.Sprintf("a,%d,2020-01-01,%d,in,0,some text that is not the same in each row %x\n", i, i+1, i*7919)
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = w.Write([]byte(file))
	_ = w.Close()

	t.Run("gzip is recognised by itself", func(t *testing.T) {
		if o := newLedger().importing(t, byWords, packed.String(), nil, false); o.err != nil || o.counts.Posted != 5000 {
			t.Fatalf("%+v %v", o.counts, o.err)
		}
	})
	t.Run("of a truncated gzip all whole rows are posted, and the error names the row", func(t *testing.T) {
		l := newLedger()
		o := l.importing(t, byWords, packed.String()[:packed.Len()/2], nil, false)
		if o.err == nil || o.counts.Posted < 1000 || o.counts.Rejected > 0 {
			t.Fatalf("%+v %v", o.counts, o.err)
		}
		if want := fmt.Sprintf("breaks off in line %d", o.counts.Posted+2); !strings.Contains(o.err.Error(), want) {
			t.Fatalf("%v does not say %q", o.err, want)
		}
		if want := int64(o.counts.Posted) * int64(o.counts.Posted+1) / 2; l.balances["a"] != want {
			t.Fatalf("the balance is %d, not %d", l.balances["a"], want)
		}
	})
}
