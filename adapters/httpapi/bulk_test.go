package httpapi

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"daybook/adapters/memstore"
	"daybook/core/engine"
	"daybook/test/faulttable"
)

const ndjson = "Content-Type: application/x-ndjson"

func deposit(id, account string, amount int) string {
	return fmt.Sprintf(`{"id":%q,"account":%q,"command":"deposit","data":{"amount":%d}}`+"\n", id, account, amount)
}

func TestLinesAreAnsweredInTheOrderSent(t *testing.T) {
	faulttable.Covers(t, "F50", faulttable.Memory)
	w := newWorld(t)
	w.create("a", "")
	w.post("/v1/accounts/a/deposit", `{"amount":5}`, "Idempotency-Key: before")
	body := `{"id":"c","account":"b","command":"create","data":{"owner":"Bo","currency":"EUR"}}` + "\n" +
		"\n \r\n" +
		deposit("1", "a", 1) +
		`{"id":"2","account":"a","command":"withdraw","data":{"amount":100}}` + "\r\n" +
		`{"id":"3","account":"a","command":"deposit","data":{"amount":0}}` + "\n" +
		"nonsense\n" +
		deposit("before", "a", 5) +
		`{"id":"4","account":"a","command":"deposit","data":{"amount":1},"expectedVersion":1}` + "\n" +
		strings.TrimSuffix(deposit("5", "a", 1), "\n")
	a := w.do("POST", "/v1/commands", body, ndjson)
	var got []string
	for line := range strings.Lines(a.body) {
		var l struct {
			ID       string
			Line     int
			Status   int
			Replayed bool
			Error    struct{ Code string }
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		got = append(got, fmt.Sprintf("%s/%d %d %v %s", l.ID, l.Line, l.Status, l.Replayed, l.Error.Code))
	}
	want := []string{"c/0 201 false ", "1/0 200 false ", "2/0 422 false insufficient_funds", "3/6 400 false invalid_field", "/7 400 false invalid_body",
		"before/0 200 true ", "4/0 412 false version_mismatch", "5/0 200 false "}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if !strings.Contains(a.body, `{"id":"1","status":200,"account":"a","version":3,"position":4,"balance":6,"replayed":false}`+"\n") {
		t.Errorf("got %s", a.body)
	}
	if a.header.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("got %v", a.header)
	}
}

func TestALineThatIsTooLongIsPassedOver(t *testing.T) {
	w := newWorld(t)
	w.create("a", "")
	edge := deposit("edge", "a", 1)
	edge = edge[:len(edge)-2] + strings.Repeat(" ", 65536-len(edge)+1) + "}\n"
	body := deposit("1", "a", 1) + strings.Repeat("x", 65537) + "\n" + strings.Repeat("y", 1<<20) + "\n" + edge + deposit("2", "a", 1) + strings.Repeat("z", 200_000)
	a := w.do("POST", "/v1/commands", body, ndjson)
	var got []string
	for line := range strings.Lines(a.body) {
		for _, s := range []string{`"line":2,"status":400`, `"line":3,"status":400`, `"line":6,"status":400`, `"id":"1","status":200`, `"id":"2","status":200`, `"id":"edge","status":200`} {
			if strings.Contains(line, s) {
				got = append(got, s)
			}
		}
	}
	if want := `"id":"1","status":200 "line":2,"status":400 "line":3,"status":400 "id":"edge","status":200 "id":"2","status":200 "line":6,"status":400`; strings.Join(got, " ") != want {
		t.Errorf("got %v", got)
	}
}

func TestARequestWithoutLinesHasAnEmptyAnswer(t *testing.T) {
	w := newWorld(t)
	if a := w.do("POST", "/v1/commands", "\n\n", ndjson); a.status != 200 || a.body != "" {
		t.Errorf("got %d %q", a.status, a.body)
	}
	if a := w.do("POST", "/v1/commands", "{}", asJSON); a.status != 415 {
		t.Errorf("got %d %q", a.status, a.body)
	}
}

func TestAnAtomicRequestIsAllOrNothing(t *testing.T) {
	faulttable.Covers(t, "F50", faulttable.Memory)
	w := newWorld(t)
	w.create("a", "")
	for body, want := range map[string]string{
		deposit("1", "a", 1) + deposit("2", "a", 2):      "200 200",
		deposit("3", "a", 1) + deposit("4", "nobody", 2): "422 404",
		deposit("5", "a", 1) + "nonsense\n":              "422 400",
		strings.Repeat(deposit("6", "a", 1), 2):          "200 200",
		"":                                               "",
	} {
		a := w.do("POST", "/v1/commands?atomic=true", body, ndjson)
		var got []string
		for line := range strings.Lines(a.body) {
			var l struct{ Status int }
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprint(l.Status))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %s", body, a.body)
		}
	}
	if a := w.do("POST", "/v1/commands?atomic=true", strings.Repeat(deposit("x", "a", 1), 1001), ndjson); a.status != 413 || a.code(t) != "too_many_lines" {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if a := w.get("/v1/accounts/a", w.fresh()); !strings.Contains(a.body, `"balance":4,`) {
		t.Errorf("got %s", a.body)
	}
}

func TestAClientMayReadEachAnswerBeforeItSendsTheNextLine(t *testing.T) {
	w := newWorld(t)
	w.create("a", "")
	body, send := io.Pipe()
	r, err := http.NewRequest("POST", w.server.URL+"/v1/commands", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-ndjson")
	resp, err := w.server.Client().Do(r) // the answer begins before the first line is sent
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	answers := bufio.NewReader(resp.Body)
	for i := range 20 {
		_, _ = io.WriteString(send, deposit(fmt.Sprint(i), "a", 1))
		line, err := answers.ReadString('\n')
		if err != nil || !strings.Contains(line, fmt.Sprintf(`"balance":%d,`, i+1)) {
			t.Fatalf("got %q, %v", line, err)
		}
	}
	_ = send.Close()
	if rest, err := io.ReadAll(answers); err != nil || len(rest) > 0 {
		t.Errorf("got %q, %v", rest, err)
	}
}

// manyLines writes n lines, some of them bad.
func manyLines(dst io.Writer, n int) error {
	out := bufio.NewWriterSize(dst, 64<<10)
	line := []byte{}
	for i := range n {
		switch {
		case i%1000 == 500:
			line = append(line[:0], "{bad\n"...)
		default:
			line = fmt.Appendf(line[:0], `{"id":"c%d","account":"a","command":"deposit","data":{"amount":1}}`+"\n", i)
		}
		if _, err := out.Write(line); err != nil {
			return err
		}
	}
	return out.Flush()
}

// lots is more lines than any buffer on the way holds, or few when the tests must be quick.
func lots() int {
	if testing.Short() || raceEnabled {
		return 20_000
	}
	return 100_000
}

func TestManyLinesWithBadOnesAmongThem(t *testing.T) {
	w := newWorld(t)
	w.create("a", "")
	n := lots()
	body, send := io.Pipe()
	go func() { _ = send.CloseWithError(manyLines(send, n)) }()
	r, err := http.NewRequest("POST", w.server.URL+"/v1/commands", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-ndjson")
	resp, err := w.server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	count := 0
	for ; lines.Scan(); count++ {
		want := fmt.Sprintf(`{"id":"c%d","status":200,`, count)
		if count%1000 == 500 {
			want = fmt.Sprintf(`{"line":%d,"status":400,`, count+1)
		}
		if !strings.HasPrefix(lines.Text(), want) {
			t.Fatalf("line %d is %s", count, lines.Text())
		}
	}
	if lines.Err() != nil || count != n {
		t.Errorf("%d of %d lines were answered: %v", count, n, lines.Err())
	}
}

// dial opens a connection that a test speaks HTTP over by itself.
func (w *world) dial() *net.TCPConn {
	w.tb.Helper()
	c, err := net.Dial("tcp", w.server.Listener.Addr().String())
	if err != nil {
		w.tb.Fatal(err)
	}
	w.tb.Cleanup(func() { _ = c.Close() })
	return c.(*net.TCPConn)
}

const bulkHead = "POST /v1/commands HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"

func TestAClientThatNeverReadsIsCutAndItsCommittedLinesStand(t *testing.T) {
	faulttable.Covers(t, "F44", faulttable.Memory)
	w := newWorld(t, func(o *options) { o.api.Patience = 300 * time.Millisecond })
	w.create("a", "")
	c := w.dial()
	_ = c.SetReadBuffer(4096)
	_, _ = io.WriteString(c, bulkHead)
	var err error
	for i := 0; err == nil; i++ { // until the server has had enough
		var lines strings.Builder
		for j := range 100 {
			lines.WriteString(deposit(fmt.Sprintf("%d-%d", i, j), "a", 1))
		}
		_, err = fmt.Fprintf(c, "%x\r\n%s\r\n", lines.Len(), lines.String())
	}
	if a := w.get("/v1/accounts/a", w.fresh()); strings.Contains(a.body, `"balance":0,`) || a.status != 200 {
		t.Errorf("got %d %s", a.status, a.body)
	}
}

func TestAClientMaySendAllAndReadAtTheEnd(t *testing.T) {
	w := newWorld(t)
	w.create("a", "")
	c := w.dial()
	var lines strings.Builder
	if err := manyLines(&lines, 1000); err != nil {
		t.Fatal(err)
	}
	_, _ = fmt.Fprintf(c, "%s%x\r\n%s\r\n0\r\n\r\n", bulkHead, lines.Len(), lines.String())
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	answers, err := io.ReadAll(resp.Body)
	if err != nil || strings.Count(string(answers), "\n") != 1000 {
		t.Errorf("got %d lines, %v", strings.Count(string(answers), "\n"), err)
	}
}

func TestAClientThatFallsSilentIsToldAndCut(t *testing.T) {
	w := newWorld(t, func(o *options) { o.api.Patience = 200 * time.Millisecond })
	w.create("a", "")
	c := w.dial()
	line := deposit("1", "a", 1)
	_, _ = fmt.Fprintf(c, "%s%x\r\n%s\r\n", bulkHead, len(line), line)
	got, _ := io.ReadAll(c)
	if s := string(got); !strings.Contains(s, `"id":"1","status":200`) || !strings.Contains(s, `"status":408`) || strings.HasSuffix(s, "0\r\n\r\n") {
		t.Errorf("got %s", got)
	}
}

func TestWhenTheEngineStopsTheStreamEnds(t *testing.T) {
	w := newWorld(t, func(o *options) {
		o.store = memstore.New()
		o.still = true
		o.configure = func(eo *engine.Options) { eo.QueueSize = 1 }
	})
	stopped, stop := contextThatEnds()
	stop()
	w.engine.RunCommands(stopped)
	c := w.dial()
	line := deposit("1", "a", 1)
	_, _ = fmt.Fprintf(c, "%s%x\r\n%s\r\n", bulkHead, len(line), line)
	got, _ := io.ReadAll(c)
	if !strings.Contains(string(got), `"id":"1","status":503`) || !strings.Contains(string(got), `"code":"stopping"`) {
		t.Errorf("got %s", got)
	}
}

func BenchmarkBulk(b *testing.B) {
	w := newWorld(b, func(o *options) { o.noViews = true })
	w.create("a", "")
	b.ReportAllocs()
	b.ResetTimer()
	body, send := io.Pipe()
	go func() { _ = send.CloseWithError(manyLines(send, b.N)) }()
	r, _ := http.NewRequest("POST", w.server.URL+"/v1/commands", body)
	r.Header.Set("Content-Type", "application/x-ndjson")
	resp, err := w.server.Client().Do(r)
	if err != nil {
		b.Fatal(err)
	}
	n, _ := io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lines/s")
	b.SetBytes(n / int64(b.N))
}

func TestCorrectionsComeThroughEveryDoorOfTheAPI(t *testing.T) {
	w := newWorld(t)
	w.create("a", "100") // evt-1 and evt-2
	w.create("b", "")
	w.post("/v1/accounts/a/transfer", `{"to":"b","amount":30}`) // evt-4 and evt-5
	if a := w.post("/v1/accounts/b/correct?dryRun=true", `{"event":"evt-5","reason":"sent twice"}`); a.status != 200 || !strings.Contains(a.body, `"balance":0`) {
		t.Errorf("tried out: %d %s", a.status, a.body)
	}
	line := func(id, account, event string) string {
		return fmt.Sprintf(`{"id":%q,"account":%q,"command":"correct","data":{"event":%q,"reason":"sent twice"}}`+"\n", id, account, event)
	}
	body := line("1", "b", "evt-5") + line("2", "a", "evt-4") + line("1", "b", "evt-5") + line("3", "a", "evt-1") + line("4", "a", "evt-3") + line("5", "a", "4")
	var got []string
	for text := range strings.Lines(w.do("POST", "/v1/commands", body, ndjson).body) {
		var l struct {
			Status  int
			Balance int64
			Error   struct{ Code string }
		}
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		got = append(got, fmt.Sprintf("%d %d %s", l.Status, l.Balance, l.Error.Code))
	}
	want := []string{"200 0 ", "422 0 already_corrected", "200 0 ", "422 0 not_an_entry", "404 0 event_not_found", "400 0 invalid_field"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if a := w.post("/v1/accounts/a/correct", `{"event":"evt-6","reason":"no"}`); a.status != 404 || a.code(t) != "event_not_found" {
		t.Errorf("the event of another account: %d %s", a.status, a.body)
	}
	if a := w.post("/v1/accounts/b/correct", `{"event":"evt-6","reason":"no"}`); a.status != 422 || a.code(t) != "correction_is_final" {
		t.Errorf("a correction: %d %s", a.status, a.body)
	}
	statement := w.get("/v1/accounts/a/statement").body
	if !strings.Contains(statement, `"eventType":"EntryCorrected"`) || !strings.Contains(statement, `"corrects":"evt-4","transferId":"trf-4"`) ||
		!strings.HasSuffix(statement, `"closingBalance":100}`) {
		t.Errorf("got %s", statement)
	}
}
