package acceptance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"daybook/app"
)

// told reports whether some work in the background failed, once.
func (d *daybook) told(work string) bool {
	d.t.Helper()
	metrics := string(d.get("/metrics").want(d.t, 200).body)
	return strings.Contains(metrics, `daybook_background_failures_total{work="`+work+`"} 1`)
}

const (
	ofAnotherStore = "use the views that are there"
	ofNoUse        = "use the views that were kept"
)

func TestViewsInMemoryAreKeptFromOneRunToTheNext(t *testing.T) {
	dir := t.TempDir()
	store, views := filepath.Join(dir, "store"), filepath.Join(dir, "store.views", "views")
	d := start(t, onPebble(dir))
	d.post("/v1/accounts/a/create", `{"owner":"Ada","currency":"EUR"}`).want(t, 201)
	d.post("/v1/accounts/a/deposit", `{"amount":7}`).want(t, 200)
	d.stop()
	early := filepath.Join(dir, "early")
	if err := os.CopyFS(early, os.DirFS(store)); err != nil {
		t.Fatal(err)
	}

	d = start(t, onPebble(dir))
	if got := d.get("/v1/accounts/a").want(t, 200).member("balance"); got != int64(7) {
		t.Errorf("after a restart a has %v", got)
	}
	for range 3 {
		d.post("/v1/accounts/a/deposit", `{"amount":1}`).want(t, 200)
	}
	d.post("/v1/accounts/b/create", `{"owner":"Bob","currency":"EUR"}`).want(t, 201)
	if d.told(ofAnotherStore) || d.told(ofNoUse) {
		t.Error("views that were kept are of no use")
	}
	d.stop()

	whole, err := os.ReadFile(views)
	if err != nil {
		t.Fatal(err)
	}
	whole[len(whole)/2]++
	if err := os.WriteFile(views, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	d = start(t, onPebble(dir))
	if got := d.get("/v1/accounts/a?minPosition=6").want(t, 200).member("balance"); got != int64(10) || !d.told(ofNoUse) {
		t.Errorf("with a damaged file a has %v; it was told: %t", got, d.told(ofNoUse))
	}
	d.stop()

	if err := os.RemoveAll(store); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(early, store); err != nil {
		t.Fatal(err)
	}
	d = start(t, onPebble(dir)) // on a store that was put back to what it was
	if got := d.get("/v1/accounts/a").want(t, 200).member("balance"); got != int64(7) || !d.told(ofAnotherStore) {
		t.Errorf("after the store was put back a has %v; it was told: %t", got, d.told(ofAnotherStore))
	}
	d.get("/v1/accounts/b").want(t, 404)
	d.stop()

	none := filepath.Join(dir, "none")
	d = start(t, func(c *app.Config) {
		onPebble(none)(c)
		c.Views.Memory.Path = "none"
	})
	d.stop()
	if _, err := os.Stat(filepath.Join(none, "store.views")); !os.IsNotExist(err) {
		t.Errorf("views are kept although nobody wants them: %v", err)
	}
}
