package main

import (
	"strings"
	"testing"

	"daybook/core/ports"
)

func TestDeadLettersAreSettledFromTheCommandLine(t *testing.T) {
	c := newCLI(t)
	send := func(id, body string) {
		t.Helper()
		if err := c.app.Engine().Bus.Publish(t.Context(), "daybook.commands", ports.Message{ID: id, Body: []byte(body)}); err != nil {
			t.Fatal(err)
		}
	}
	dead := func(n int) string {
		t.Helper()
		for {
			out := c.want(exitOK, "dlq ls -o ndjson")
			if strings.Count(out, "\n") == n {
				return out
			}
		}
	}
	c.want(exitOK, "dlq ls") // it serves, so it takes messages
	send("m1", `{"id":"1","account":"a","command":"deposit","data":{"amount":5}}`)
	send("m2", `nonsense`)
	send("m3", `{"id":"3","account":"a","command":"deposit","data":{"amount":7}}`)
	dead(3)
	c.want(exitOK, "dlq ls", "m1", "account_not_found", "m2", "nonsense")
	c.want(exitOK, "dlq show m1 -o json", `"deposit`, "account_not_found")
	c.want(exitNotFound, "dlq show m9", "no dead letter with the id")
	c.want(exitNotFound, "dlq retry m9", "0 of 1 dead letters were sent again")
	c.want(exitUsage, "dlq retry", "name the dead letters that are meant, or say --all")
	c.want(exitUsage, "dlq discard m1 --all", "name the dead letters")

	for _, id := range []string{"a/b", "50%", "%2F", "..", ".", "ä?x#y"} {
		send(id, `nonsense`)
		dead(4)
		c.want(exitOK, "dlq show "+id+" -o ndjson", `"id":"`+id+`"`)
		c.want(exitOK, "dlq discard "+id, "1 dead letters were discarded")
	}
	c.want(exitOK, "dlq discard m2", "1 dead letters were discarded")
	send("m0", `{"id":"0","account":"a","command":"create","data":{"owner":"Ada","currency":"EUR"}}`)
	for code, _, _ := c.do("account get a"); code != exitOK; code, _, _ = c.do("account get a") {
	}
	c.want(exitOK, "dlq retry --all", "2 dead letters were sent again")
	dead(0)
	for !strings.Contains(c.want(exitOK, "account get a -o ndjson"), `"balance":12`) {
	}
}
