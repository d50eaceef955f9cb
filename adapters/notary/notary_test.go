package notary_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"daybook/adapters/notary"
)

const text = "daybook\n17\nAAAA\ntime 2025-10-28T09:00:00Z\n"

func TestWhatANotarySignsIsCheckedWithItsPublicKeyAndNoOther(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "seal")
	n, err := notary.Open(dir, "daybook")
	if err != nil {
		t.Fatal(err)
	}
	signed, err := n.Sign(text)
	if err != nil {
		t.Fatal(err)
	}
	again, err := notary.Open(dir, "another") // the key says whose it is
	if err != nil || again.Public() != n.Public() || again.Origin() != "daybook" {
		t.Fatalf("opened again it is %s of %s: %v", again.Public(), again.Origin(), err)
	}
	if got, err := notary.Check(signed, again.Public()); err != nil || got != text {
		t.Errorf("got %q, %v", got, err)
	}
	other, err := notary.New("daybook")
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string][2]string{
		"another key":           {signed, other.Public()},
		"another text":          {strings.Replace(signed, "17", "18", 1), n.Public()},
		"no signature":          {text + "\n", n.Public()},
		"nothing":               {"", n.Public()},
		"a key that is no key":  {signed, "key"},
		"a signature cut short": {signed[:len(signed)-5] + "\n", n.Public()},
	} {
		if got, err := notary.Check(c[0], c[1]); err == nil {
			t.Errorf("with %s it was taken: %q", what, got)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key can be read by others: %v, %v", info.Mode(), err)
	}
}

func TestNotesThatWereKeptAreFoundAgain(t *testing.T) {
	dir := t.TempDir()
	n, err := notary.Open(dir, "daybook")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, size := range []string{"17", "18", "19"} {
		signed, err := n.Sign(strings.Replace(text, "17", size, 1))
		if err == nil {
			err = n.Keep("", signed)
		}
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, signed)
	}
	log := filepath.Join(dir, "checkpoints")
	whole, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(want[2]) { // as a crash may leave it
		if err := os.WriteFile(log, whole[:len(whole)-2-cut], 0o600); err != nil {
			t.Fatal(err)
		}
		notes, public, err := notary.Kept(dir, "")
		if err != nil || public != n.Public() || strings.Join(notes, "") != want[0]+want[1] {
			t.Fatalf("cut by %d there are %q (%v)", 2+cut, notes, err)
		}
	}
	if notes, public, err := notary.Kept(filepath.Join(dir, "nothing"), ""); err != nil || notes != nil || public != "" {
		t.Errorf("where nothing was kept there are %q of %q (%v)", notes, public, err)
	}
}
