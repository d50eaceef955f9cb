package moving

import (
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"daybook/test/cluster"
	"daybook/test/faulttable"
)

// The program is backed up while clients use it, and what is restored is whole.
func TestABackupMadeUnderLoadIsRestoredWhole(t *testing.T) {
	faulttable.Covers(t, "F63", faulttable.Embedded)
	binary, err := cluster.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	p := cluster.New(t, binary, "DAYBOOK_STORE_PEBBLE_PATH="+filepath.Join(folder, "store")).Start("daybook")
	load := &cluster.Load{Clients: 8, Pace: time.Millisecond, Targets: func() []string { return []string{p.URL()} }}
	load.Start(t)
	load.Await(t, 300, 30*time.Second)
	said := run(t, p, "backup", filepath.Join(folder, "backup"), "--server", p.URL())
	load.Await(t, 300, 30*time.Second)
	load.Stop()

	what := regexp.MustCompile(`position \d+, hash [0-9a-f]{64}`)
	place := []string{"--store.pebble.path", filepath.Join(folder, "again")}
	restored := run(t, p, append([]string{"restore", filepath.Join(folder, "backup")}, place...)...)
	if what.FindString(said) == "" || what.FindString(said) != what.FindString(restored) {
		t.Errorf("backed up: %srestored: %s", said, restored)
	}
	run(t, p, append([]string{"verify"}, place...)...)
}

// run runs another command of the program, which must succeed, and gives what it said.
func run(t *testing.T, p *cluster.Program, args ...string) string {
	t.Helper()
	out, err := p.Command(args...).CombinedOutput()
	if err != nil {
		t.Fatalf("daybook %v: %v\n%s", args, err, out)
	}
	return string(out)
}
