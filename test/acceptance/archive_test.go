package acceptance

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"daybook/adapters/archive"
	"daybook/app"
	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/ports"
)

// Half of the real data is moved away, all views are emptied and made again, and every figure is still the bank's.
func TestRealDataComesOutRightFromTheArchive(t *testing.T) {
	for where, on := range map[string]func(*testing.T) func(*app.Config){
		"embedded":      func(t *testing.T) func(*app.Config) { return onPebble(t.TempDir()) },
		"in production": inProduction,
	} {
		for name, rows := range map[string]func(*testing.T) []row{
			"21 savings accounts, whole":    savings,
			"the first 120 of 949 accounts": func(t *testing.T) []row { return berka(t, 120) },
		} {
			t.Run(where+", "+name, func(t *testing.T) {
				all, place, folder := rows(t), on(t), t.TempDir()
				with := func(c *app.Config) {
					place(c)
					c.Archive.URL = "file://" + folder
				}
				d := start(t, with)
				accounts := d.postAll(all)
				d.checkViews(accounts) // so that the views are there, and hold nothing back
				half := d.archiveHalf(accounts)
				before := d.verified(nil)
				d.stop()

				d = start(t, with)
				d.rebuilt()
				d.checkViews(accounts)
				d.checkPast(accounts)
				d.checkEveryRow(accounts)
				d.checkStatements(accounts)
				if after := d.verified(nil); after != before {
					t.Errorf("the root is %s, and was %s", after, before)
				}
				d.flippedBitIsNamed(folder, half)
			})
		}
	}
}

// archiveHalf moves the first half of the events to the archive, as full nodes of the tree, and gives how many those are.
func (d *daybook) archiveHalf(accounts map[string][]row) int64 {
	d.t.Helper()
	head := d.get("/v1/status").want(d.t, 200).member("head").(int64)
	recorded, _ := d.get(fmt.Sprintf("/v1/events/evt-%d", head/2+1)).want(d.t, 200).member("recordedAt").(string)
	want := head / 2 / 256 * 256
	for archived := int64(0); archived < want; { // the relay may hold some back until it has caught up
		a := d.post("/v1/admin/archive?before="+url.QueryEscape(recorded), "").want(d.t, 202)
		for a.member("state") == engine.OperationRunning {
			a = d.get("/v1/admin/operations/"+fmt.Sprint(a.member("id"))).want(d.t, 200)
		}
		if a.member("state") != engine.OperationDone {
			d.t.Fatalf("archiving ended with %s", a.body)
		}
		archived = d.get("/v1/status").member("archived").(int64)
	}
	return want
}

// checkEveryRow asks for the balance after every row that the bank ever wrote.
func (d *daybook) checkEveryRow(accounts map[string][]row) {
	d.t.Helper()
	for id, rows := range accounts {
		for _, r := range rows {
			a := d.get(fmt.Sprintf("/v1/accounts/%s?position=%d", id, r.position)).want(d.t, 200)
			if a.member("balance") != r.balance || a.member("version") != int64(r.version) {
				d.t.Fatalf("%s at position %d is %s, want balance %d at version %d", id, r.position, a.body, r.balance, r.version)
			}
		}
	}
}

// verified checks every hash and every file, and gives the root; want is the error there should be.
func (d *daybook) verified(want error) (root string) {
	d.t.Helper()
	e := d.app.Engine()
	v := &engine.Verification{History: engine.StoreHistory{Store: e.Store}}
	err := v.Run(d.t.Context())
	if err == nil {
		err = e.Options.Archive.Check(d.t.Context(), func(es.Position) {})
	}
	if !errors.Is(err, want) {
		d.t.Fatalf("verifying gave %v, want %v", err, want)
	}
	return v.Verified.Root().String()
}

// flippedBitIsNamed flips one bit of an archived file and looks who is blamed.
func (d *daybook) flippedBitIsNamed(folder string, half int64) {
	d.t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "segments", "*"))
	if err != nil || len(files) == 0 {
		d.t.Fatalf("the archive has %d files, %v", len(files), err)
	}
	content, err := os.ReadFile(files[0])
	if err != nil {
		d.t.Fatal(err)
	}
	content[len(content)/3] ^= 1
	if err := os.WriteFile(files[0], content, 0o600); err != nil {
		d.t.Fatal(err)
	}
	a, err := archive.Open(context.Background(), "file://"+folder)
	if err != nil {
		d.t.Fatal(err)
	}
	defer a.Close()
	err = a.Check(d.t.Context(), func(es.Position) {})
	if !errors.Is(err, ports.ErrArchiveDamaged) || !strings.Contains(err.Error(), filepath.Base(files[0])) {
		d.t.Errorf("a flipped bit in %s, which holds some of %d events, gave %v", filepath.Base(files[0]), half, err)
	}
	d.verified(ports.ErrArchiveDamaged)
}
