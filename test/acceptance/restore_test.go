package acceptance

import (
	"fmt"
	"net/url"
	"path/filepath"
	"testing"

	"daybook/app"
	"daybook/test/faulttable"
	"daybook/test/servers"
)

// A store is restored from a backup, and views in Elasticsearch know what happened after it.
func TestViewsNoticeThatTheStoreWasRestored(t *testing.T) {
	faulttable.Covers(t, "F63", faulttable.Embedded)
	elastic, index := servers.Elastic(t), servers.ElasticPrefix(t)
	folder := t.TempDir()
	on := func(store string) func(*app.Config) {
		return func(c *app.Config) {
			onPebble(filepath.Join(folder, store))(c)
			c.Views.Driver, c.Views.Elasticsearch.URL, c.Views.Elasticsearch.Prefix = "elasticsearch", elastic, index
		}
	}
	d := start(t, on("first"))
	d.post("/v1/accounts/a/create", `{"owner":"Ada","currency":"EUR"}`).want(t, 201)
	d.post("/v1/accounts/a/deposit", `{"amount":50}`).want(t, 200)
	backup := filepath.Join(folder, "backup")
	kept := d.post("/v1/admin/backup?dir="+url.QueryEscape(backup), "").want(t, 200)
	d.post("/v1/accounts/a/deposit", `{"amount":7}`).want(t, 200)
	d.post("/v1/accounts/b/create", `{"owner":"Bob","currency":"EUR"}`).want(t, 201)
	if a := d.eventually("/v1/accounts?minPosition=4", 200); a.member("items.0.balance") != int64(57) || a.member("items.1.id") != "b" {
		t.Fatalf("before the restore the list is %s", a.body)
	}
	d.stop()

	c := app.Default()
	on("second")(&c)
	restored, err := app.Restore(c, backup)
	if err != nil || restored.Position != 2 || kept.member("position") != int64(2) || kept.member("root") != restored.Root.String() {
		t.Fatalf("backed up %s, restored %+v, %v", kept.body, restored, err)
	}
	d = start(t, on("second"))
	if a := d.eventually("/v1/accounts?minPosition=2", 200); a.member("items.0.balance") != int64(50) || a.member("items.1") != nil {
		t.Errorf("after the restore the list is %s", a.body)
	}
	d.post("/v1/accounts/a/deposit", `{"amount":1}`).want(t, 200)
	a := d.eventually("/v1/accounts/a?minPosition=3", 200)
	if want := fmt.Sprintf(`"balance":%d`, 51); a.member("balance") != int64(51) {
		t.Errorf("it goes on with %s, want %s", a.body, want)
	}
}
