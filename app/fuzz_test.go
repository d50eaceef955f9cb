package app

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// FuzzConfiguration reads any file and any variable: what is wrong is said in words for a person, and what is right can be used.
func FuzzConfiguration(f *testing.F) {
	f.Add(Example(), "DAYBOOK_HTTP_ADDR", "127.0.0.1:2")
	f.Add("units:\n  - {code: KWH, digits: 3}\nstore: {driver: memory}\nroles: [api]\n", "DAYBOOK_ROLES", "api, relay")
	f.Add("a: &a [*a]\nhttp: {addr: {addr: 1}}\n? [x]\n: y\n", "DAYBOOK_", "\x00")
	path := filepath.Join(f.TempDir(), "daybook.yaml")
	f.Fuzz(func(t *testing.T, file, name, value string) {
		if strings.HasSuffix(name, "_FILE") { // it names a file
			return
		}
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
		Flags(flags)
		if err := flags.Parse([]string{"--config", path}); err != nil {
			t.Fatal(err)
		}
		c, _, err := Load(flags, []string{name + "=" + value})
		switch {
		case err == nil:
			if c.Store.Driver == "" || len(c.Roles) == 0 || slices.Contains(c.Roles, "") {
				t.Errorf("%q and %s=%q were taken for %+v", file, name, value, c)
			}
		case err.Error() == "", !strings.Contains(file+name+value, "%") && strings.Contains(err.Error(), "%!"), errors.Is(err, os.ErrNotExist):
			t.Errorf("%q says nothing to a person", err)
		}
	})
}
