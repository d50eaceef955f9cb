package acceptance

import (
	"bufio"
	"net/http"
	"strings"
	"testing"

	"daybook/app"
)

func TestMetrics(t *testing.T) {
	t.Run("are on the API's listener for clients of this machine", func(t *testing.T) {
		d := start(t, nil)
		d.post("/v1/accounts/a/create", `{"owner":"Ada","currency":"EUR"}`).want(t, 201)
		d.post("/v1/accounts/a/withdraw", `{"amount":1}`).want(t, 422)
		text := string(d.get("/metrics").want(t, 200).body)
		for _, want := range []string{
			`daybook_commands_total{command="create",module="accounts",result="ok"} 1`,
			`daybook_commands_total{command="withdraw",module="accounts",result="rejected"} 1`,
			"daybook_store_position 1", "daybook_batch_events_count 1", "go_goroutines",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("the metrics do not have %s", want)
			}
		}
		d.get("/debug/pprof/").want(t, 404)
	})
	t.Run("move to the operators' listener, with pprof, when there is one", func(t *testing.T) {
		d := start(t, func(c *app.Config) { c.Admin.Addr = "127.0.0.1:0" })
		d.get("/metrics").want(t, 404)
		api := d.url
		d.url = d.app.AdminURL()
		if text := string(d.get("/metrics").want(t, 200).body); !strings.Contains(text, "daybook_commands_total") {
			t.Error("the operators' listener has no metrics of Daybook")
		}
		d.get("/debug/pprof/").want(t, 200)
		d.get("/v1/accounts").want(t, 404)
		d.url = api
	})
}

func TestAProcessWithoutTheRoleAPIAnswersHealthAlone(t *testing.T) {
	d := begin(t, func(c *app.Config) { c.Roles = []string{app.RoleRelay, app.RoleProject} })
	d.get("/livez").want(t, 200)
	d.eventually("/readyz", 200)
	d.get("/v1/status").want(t, 200)
	if got := d.post("/v1/accounts/a/create", `{"owner":"Ada","currency":"EUR"}`).want(t, 404); got.member("code") != "api_not_served" {
		t.Errorf("got %s", got.body)
	}
}

func TestStoppingEndsTheLiveFeed(t *testing.T) {
	d := start(t, nil)
	d.post("/v1/accounts/a/create", `{"owner":"Ada","currency":"EUR"}`).want(t, 201)
	res, err := http.Get(d.url + "/v1/feed")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() && lines.Text() != "id: 1" {
	}
	if lines.Text() != "id: 1" {
		t.Fatalf("the feed ended before its first event: %v", lines.Err())
	}
	d.stop() // returns when every request has ended
	for lines.Scan() {
	}
}
