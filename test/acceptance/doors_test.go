package acceptance

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"daybook/adapters/msgapi"
	"daybook/app"
	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
	"daybook/test/faulttable"
	"daybook/test/voucher"
)

// listen collects the messages of a topic.
func (d *daybook) listen(topic string) <-chan ports.Message {
	d.t.Helper()
	messages := make(chan ports.Message, 100)
	err := d.app.Engine().Bus.Subscribe(d.t.Context(), ports.Subscription{Topic: topic}, func(_ context.Context, m ports.Message) error {
		messages <- m
		return nil
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return messages
}

func (d *daybook) send(id, body string, headers map[string]string) {
	d.t.Helper()
	// The subscription of the role messages begins with the process; what is published before it is nobody's.
	d.eventually("/readyz", 200)
	if err := d.app.Engine().Bus.Publish(d.t.Context(), msgapi.Topic("daybook"), ports.Message{ID: id, Headers: headers, Body: []byte(body)}); err != nil {
		d.t.Fatal(err)
	}
}

func receive(t *testing.T, messages <-chan ports.Message) ports.Message {
	t.Helper()
	select {
	case m := <-messages:
		return m
	case <-time.After(20 * time.Second):
		t.Fatal("no message came")
		panic("unreachable")
	}
}

func TestOneCommandThroughEveryDoorHasOneEffect(t *testing.T) {
	d := start(t, nil)
	replies := d.listen("my.replies")
	d.post("/v1/accounts/a/create", `{"owner":"Ada","currency":"EUR"}`).want(t, 201)
	first := d.post("/v1/accounts/a/deposit", `{"amount":5,"reference":"r"}`, "Idempotency-Key", "k").want(t, 200)

	quoted := d.post("/v1/accounts/a/deposit", ` { "reference" : "\u0072", "amount":5 } `, "Idempotency-Key", `"k"`).want(t, 200)
	if string(quoted.body) != string(first.body) || quoted.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("HTTP answered %s", quoted.body)
	}
	line := `{"id":"k","account":"a","command":"deposit","data":{"amount":5,"reference":"r"}}`
	bulk := d.do("POST", "/v1/commands", "application/x-ndjson", strings.NewReader(line)).want(t, 200)
	if bulk.member("replayed") != true || bulk.member("balance") != int64(5) {
		t.Errorf("bulk answered %s", bulk.body)
	}
	d.send("m1", line, map[string]string{msgapi.HeaderReplyTo: "my.replies", msgapi.HeaderCorrelationID: "c"})
	reply := receive(t, replies)
	if got := (answer{body: reply.Body}); got.member("replayed") != true || reply.Headers[msgapi.HeaderCorrelationID] != "c" {
		t.Errorf("the message was answered %s with %v", reply.Body, reply.Headers)
	}
	d.post("/v1/accounts/a/deposit", `{"amount":6}`, "Idempotency-Key", "k").want(t, 422)
	if got := d.get("/v1/accounts/a?minPosition=2").want(t, 200); got.member("balance") != int64(5) {
		t.Errorf("the account is %s", got.body)
	}
}

func TestAMessage(t *testing.T) {
	faulttable.Covers(t, "F36", faulttable.Memory)
	d := start(t, nil)
	replies, dead := d.listen("my.replies"), d.listen(ports.DeadLetters(msgapi.Topic("daybook")))
	answered := map[string]string{msgapi.HeaderReplyTo: "my.replies"}

	d.send("m1", `{"id":"1","account":"a","command":"create","data":{"owner":"Ada","currency":"EUR"}}`, answered)
	if got := (answer{body: receive(t, replies).Body}); got.member("status") != int64(201) {
		t.Fatalf("creating answered %s", got.body)
	}
	event := d.get("/v1/events/evt-1").want(t, 200)
	if event.member("metadata.causationId") != "m1" || event.member("metadata.commandId") != "1" {
		t.Errorf("the event does not say what caused it: %s", event.body)
	}
	d.send("m2", `{"id":"2","account":"a","command":"withdraw","data":{"amount":1}}`, answered)
	if got := (answer{body: receive(t, replies).Body}); got.member("status") != int64(422) || got.member("error.code") != "insufficient_funds" {
		t.Errorf("a refusal answered %s", got.body)
	}
	for name, body := range map[string]string{
		"that is no JSON":                       `nonsense`,
		"with an unknown member":                `{"id":"3","account":"a","command":"deposit","data":{"amount":1,"x":1}}`,
		"refused, when nobody asked to hear":    `{"id":"4","account":"a","command":"withdraw","data":{"amount":1}}`,
		"for an account that there is not":      `{"id":"5","account":"none","command":"deposit","data":{"amount":1}}`,
		"with a command that there is not":      `{"id":"6","account":"a","command":"steal","data":{}}`,
		"without an id":                         `{"account":"a","command":"deposit","data":{"amount":1}}`,
		"with another command under a known id": `{"id":"1","account":"a","command":"deposit","data":{"amount":1}}`,
	} {
		d.send("dead-"+name, body, nil)
		m := receive(t, dead)
		if m.ID != "dead-"+name || m.Headers["reason"] == "" || string(m.Body) != body {
			t.Errorf("a message %s came to the dead letters as %+v", name, m)
		}
	}
	d.send("m9", `{"id":"9","account":"a","command":"deposit","data":{"amount":1}}`, answered)
	if got := (answer{body: receive(t, replies).Body}); got.member("balance") != int64(1) {
		t.Errorf("after the dead letters, a deposit answered %s", got.body)
	}
}

func TestEventsGoOutOnTheBus(t *testing.T) {
	d := start(t, nil)
	events := d.listen("daybook.events")
	d.post("/v1/accounts/a/create", `{"owner":"Ada","currency":"EUR"}`).want(t, 201)
	d.post("/v1/accounts/a/deposit", `{"amount":5}`).want(t, 200)
	for i, want := range []string{"AccountCreated", "MoneyDeposited"} {
		m := receive(t, events)
		stored := d.get("/v1/events/"+m.ID).want(t, 200)
		if m.ID != fmt.Sprintf("evt-%d", i+1) || m.Headers["eventType"] != want {
			t.Errorf("message %d is %s with %v, want %s", i, m.ID, m.Headers, want)
		}
		timestamp, _ := stored.member("timestamp").(string)
		cloudEvent := fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"/daybook","type":%q,"subject":"a","time":%q,"datacontenttype":"application/json","data":%s}`,
			m.ID, want, timestamp, strings.TrimSpace(string(stored.body)))
		if string(m.Body) != cloudEvent {
			t.Errorf("message %d is\n%s\nwant\n%s", i, m.Body, cloudEvent)
		}
	}
}

func TestASecondModuleIsServedByItsTables(t *testing.T) {
	d := start(t, nil, app.Extension{Modules: []es.Module{voucher.Module()}})
	replies := d.listen("my.replies")
	d.post("/v1/vouchers/v1/issue", `{"worth":500}`).want(t, 201)
	d.do("POST", "/v1/commands", "application/x-ndjson", strings.NewReader(`{"id":"1","voucher":"v1","command":"redeem","data":{"by":"Ada"}}`)).want(t, 200)
	d.post("/v1/vouchers/v1/redeem", `{"by":"Eve"}`).want(t, 422)
	d.send("m", `{"id":"2","voucher":"v1","command":"redeem","data":{"by":"Ada"}}`, map[string]string{msgapi.HeaderReplyTo: "my.replies"})
	if got := (answer{body: receive(t, replies).Body}); got.member("status") != int64(422) {
		t.Errorf("redeeming twice by message answered %s", got.body)
	}
	if got := d.get("/v1/vouchers?minPosition=2").want(t, 200); got.member("items.0.id") != "v1" || got.member("items.0.version") != int64(2) {
		t.Errorf("the list is %s", got.body)
	}
	d.post("/v1/accounts/v1/create", `{"owner":"Ada","currency":"EUR"}`).want(t, 201) // the same id, another stream
	var document map[string]any
	if err := json.Unmarshal(d.get("/openapi.json").want(t, 200).body, &document); err != nil {
		t.Fatal(err)
	}
	if paths, _ := document["paths"].(map[string]any); paths["/v1/vouchers/{id}/redeem"] == nil {
		t.Error("the OpenAPI document does not know the second module")
	}
}

func TestARestart(t *testing.T) {
	dir := t.TempDir()
	first := start(t, onPebble(dir))
	first.post("/v1/accounts/a/create", `{"owner":"Ada","currency":"EUR"}`).want(t, 201)
	answered := first.post("/v1/accounts/a/deposit", `{"amount":5}`, "Idempotency-Key", "k").want(t, 200)
	refused := first.post("/v1/accounts/a/withdraw", `{"amount":50}`, "Idempotency-Key", "no", "X-Request-Id", "same").want(t, 422)

	c := app.Default()
	onPebble(dir)(&c)
	c.HTTP.Addr = "127.0.0.1:0"
	if _, err := app.New(c, app.Build{}, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(fault.Of(err).Msg, "in use by another process") {
		t.Errorf("a second process on the store was told %v", err)
	}
	c.HTTP.Addr = strings.TrimPrefix(first.url, "http://")
	c.Store.Driver = "memory"
	if _, err := app.New(c, app.Build{}, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "choose another address with --http.addr") {
		t.Errorf("a second process on the address was told %v", err)
	}
	before := first.get("/v1/accounts/a?minPosition=2").want(t, 200)
	first.stop()

	second := start(t, onPebble(dir))
	if got := second.eventually("/v1/accounts/a", 200); string(got.body) != string(before.body) {
		t.Errorf("after a restart the account is\n%s\nand was\n%s", got.body, before.body)
	}
	again := second.post("/v1/accounts/a/deposit", `{"amount":5}`, "Idempotency-Key", "k").want(t, 200)
	if string(again.body) != string(answered.body) || again.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("a retry after a restart got\n%s\nand not\n%s", again.body, answered.body)
	}
	again = second.post("/v1/accounts/a/withdraw", `{"amount":50}`, "Idempotency-Key", "no", "X-Request-Id", "same").want(t, 422)
	if string(again.body) != string(refused.body) || again.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("a retry of a refusal after a restart got\n%s\nand not\n%s", again.body, refused.body)
	}
}

func TestRebuildOverHTTP(t *testing.T) {
	d := start(t, nil)
	d.post("/v1/accounts/a/create", `{"owner":"Ada","currency":"EUR"}`).want(t, 201)
	before := d.eventually("/v1/accounts/a?minPosition=1", 200)
	d.rebuilt()
	if after := d.get("/v1/accounts/a").want(t, 200); string(after.body) != string(before.body) {
		t.Errorf("after the rebuild the account is\n%s\nand was\n%s", after.body, before.body)
	}
}

// rebuilt fills the views anew.
func (d *daybook) rebuilt() {
	d.t.Helper()
	started := d.do("POST", "/v1/admin/rebuild", "", nil).want(d.t, 202)
	for {
		op := d.get(started.header.Get("Location")).want(d.t, 200)
		if op.member("state") == "done" {
			return
		}
		if op.member("state") != "running" {
			d.t.Fatalf("the rebuild is %s", op.body)
		}
	}
}
