package app

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"daybook/test/faulttable"
)

// load loads a configuration from a file's text, environment variables and flags.
func load(t *testing.T, file string, environ, args []string) (Config, []Setting, error) {
	t.Helper()
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	Flags(flags)
	if file != "" {
		path := filepath.Join(t.TempDir(), "daybook.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", path)
	}
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return Load(flags, environ)
}

func TestPrecedence(t *testing.T) {
	file := "http:\n  addr: 127.0.0.1:1\nstore: {driver: memory}\nroles: [messages]\n"
	environ := []string{"DAYBOOK_HTTP_ADDR=127.0.0.1:2", "DAYBOOK_ROLES=api, relay, project", "DAYBOOK_TEST_X=1", "HOME=/"}
	c, settings, err := load(t, file, environ, []string{"--http.addr", "127.0.0.1:3"})
	if err != nil {
		t.Fatal(err)
	}
	if c.HTTP.Addr != "127.0.0.1:3" || c.Store.Driver != "memory" || !slices.Equal(c.Roles, []string{"api", "relay", "project"}) || c.Views.Driver != "memory" {
		t.Fatalf("got %+v", c)
	}
	origins := map[string]string{}
	for _, s := range settings {
		origins[s.Name] = s.Origin
	}
	if origins["http.addr"] != "flag --http.addr" || origins["roles"] != "environment variable DAYBOOK_ROLES" ||
		!strings.HasSuffix(origins["store.driver"], "daybook.yaml:3") || origins["log.level"] != "default" {
		t.Fatalf("the origins are %v", origins)
	}
}

func TestTheDefaultsAreRight(t *testing.T) {
	if _, _, err := load(t, "", nil, nil); err != nil {
		t.Fatal(err)
	}
	if c := Default(); c.Store.Driver != "pebble" || c.HTTP.Addr != "127.0.0.1:8080" {
		t.Fatalf("got %+v", c)
	}
}

func TestUnits(t *testing.T) {
	c, _, err := load(t, "units:\n  - {code: KWH, digits: 3}\n  - {code: POINTS, digits: 0}\n", nil, nil)
	if err != nil || len(c.Units) != 2 || c.Units[0] != (Unit{"KWH", 3}) {
		t.Fatalf("got %+v, %v", c.Units, err)
	}
	check := currencyCheck(c.Units)
	for code, known := range map[string]bool{"KWH": true, "POINTS": true, "EUR": true, "CZK": true, "IDR": true, "eur": false, "XXQ": false, "": false, "kwh": false} {
		if (check(code) == "") != known {
			t.Errorf("%q: %q", code, check(code))
		}
	}
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	faulttable.Covers(t, "F53", faulttable.Memory)
	for name, c := range map[string]struct {
		file    string
		environ []string
		args    []string
		want    []string // parts of the message
	}{
		"a misspelt key":                   {file: "htpp:\n  addr: x\n", want: []string{"daybook.yaml:2", `"htpp.addr"`, `did you mean "http.addr"?`}},
		"a key of the wrong case":          {file: "http:\n  Addr: x\n", want: []string{":2", `"http.Addr"`, `"http.addr"`}},
		"a key that is nothing like one":   {file: "zzzzzzzzzzzzz: 1\n", want: []string{":1", `there is no setting "zzzzzzzzzzzzz"`}},
		"a misspelt variable":              {environ: []string{"DAYBOOK_HTTP_ADR=x"}, want: []string{"DAYBOOK_HTTP_ADR", `did you mean "DAYBOOK_HTTP_ADDR"?`}},
		"an unknown driver":                {args: []string{"--store.driver", "peble"}, want: []string{"flag --store.driver", `cannot be "peble"`, "memory, pebble, postgres", `did you mean "pebble"?`}},
		"a driver of another port":         {environ: []string{"DAYBOOK_BUS_DRIVER=pebble"}, want: []string{"environment variable DAYBOOK_BUS_DRIVER", "one of memory"}},
		"an unknown role":                  {file: "roles: [api, cook]\n", want: []string{":1", `"cook"`, "api, relay, project, messages"}},
		"no role":                          {file: "roles: []\n", want: []string{":1", "at least one of"}},
		"a number for a text":              {file: "http: {addr: 8080}\n", want: []string{":1", `"http.addr" must be a text, not 8080`}},
		"a text for a number":              {environ: []string{"DAYBOOK_SNAPSHOTS_EVERY=often"}, want: []string{"DAYBOOK_SNAPSHOTS_EVERY", "whole number from 0 on", "often"}},
		"a number below zero":              {file: "snapshots: {every: -1}\n", want: []string{":1", "whole number from 0 on", "-1"}},
		"a text for a list":                {file: "units: KWH\n", want: []string{":1", `"units" must be a list of records`}},
		"a list of records by variable":    {environ: []string{"DAYBOOK_UNITS=KWH"}, want: []string{"DAYBOOK_UNITS", "only be set in a file"}},
		"an unknown member of a unit":      {file: "units: [{code: KWH, digit: 3}]\n", want: []string{"digit"}},
		"a unit that is a currency":        {file: "units: [{code: EUR, digits: 2}]\n", want: []string{`"EUR" is a currency of ISO 4217 already`}},
		"a unit twice":                     {file: "units: [{code: KWH, digits: 2}, {code: KWH, digits: 2}]\n", want: []string{"declared twice"}},
		"a unit with a bad code":           {file: "units: [{code: kWh, digits: 2}]\n", want: []string{`the code "kWh"`}},
		"a unit with too many digits":      {file: "units: [{code: KWH, digits: 10}]\n", want: []string{"10 digits"}},
		"a level that there is not":        {args: []string{"--log.level", "loud"}, want: []string{`cannot be "loud"`, "debug, error, info, warn"}},
		"a file that is no YAML":           {file: "a: [", want: []string{"daybook.yaml", "not valid YAML"}},
		"a file that is no mapping":        {file: "- a\n", want: []string{"a configuration is a mapping of settings"}},
		"a file that is not there":         {args: []string{"--config", "/nowhere/daybook.yaml"}, want: []string{"/nowhere/daybook.yaml", "cannot be read"}},
		"split roles on an embedded store": {args: []string{"--roles", "api"}, want: []string{"relay and project would be left to another process", "store.driver pebble belongs to one process", "bus.driver memory"}},
		"split roles on a bus in memory":   {args: []string{"--roles", "relay,project", "--store.driver", "postgres", "--store.postgres.url", "postgres://x"}, want: []string{"api would be left", "bus.driver memory does not reach"}},
		"a driver without its URL":         {args: []string{"--store.driver", "postgres"}, want: []string{"store.postgres.url: postgres needs it", "postgres://"}},
		"a prefix that cannot be one":      {environ: []string{"DAYBOOK_BUS_RABBITMQ_PREFIX=My Ledger"}, want: []string{"bus.rabbitmq.prefix", `"My Ledger"`}},
		"a secret's file that is missing":  {environ: []string{"DAYBOOK_STORE_POSTGRES_URL_FILE=/nowhere/url"}, want: []string{"DAYBOOK_STORE_POSTGRES_URL_FILE", "/nowhere/url"}},
		"a file for what is no secret":     {environ: []string{"DAYBOOK_HTTP_ADDR_FILE=/nowhere"}, want: []string{"DAYBOOK_HTTP_ADDR_FILE", "no such setting"}},
		"two problems at once":             {file: "a: 1\nb: 2\n", want: []string{`"a"`, `"b"`}},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := load(t, c.file, c.environ, c.args)
			var wrong *ConfigError
			if !errors.As(err, &wrong) {
				t.Fatalf("got %v, want a ConfigError", err)
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is not in: %s", part, err)
				}
			}
		})
	}
}

func TestTheFilesThatAreShippedAreRight(t *testing.T) {
	files, err := filepath.Glob("../configs/*.yaml")
	if err != nil || len(files) < 2 {
		t.Fatalf("found %v, %v", files, err)
	}
	for _, path := range files {
		if _, _, err := load(t, "", nil, []string{"--config", path}); err != nil {
			t.Error(err)
		}
	}
	fromExample, _, err := load(t, Example(), nil, nil)
	if err != nil {
		t.Fatalf("%v in\n%s", err, Example())
	}
	if got, want := fromExample, Default(); got.HTTP != want.HTTP || got.Store != want.Store || !slices.Equal(got.Roles, want.Roles) || got.Log != want.Log {
		t.Fatalf("the example means %+v, the defaults are %+v", got, want)
	}
}

func TestASecretCanComeFromAFileAndIsNotShown(t *testing.T) {
	faulttable.Covers(t, "F53", faulttable.Memory)
	file := filepath.Join(t.TempDir(), "url")
	const url = "postgres://ada:lovelace@one:5432,two:5433/daybook?sslmode=disable"
	if err := os.WriteFile(file, []byte(url+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, settings, err := load(t, "", []string{"DAYBOOK_STORE_POSTGRES_URL_FILE=" + file}, nil)
	if err != nil || c.Store.Postgres.URL != url {
		t.Fatalf("got %q, %v", c.Store.Postgres.URL, err)
	}
	for _, s := range settings {
		if shown, _ := s.Shown().(string); strings.Contains(shown, "lovelace") {
			t.Errorf("%s is shown as %s", s.Name, shown)
		}
	}
	for value, want := range map[string]string{
		url: "postgres://ada:***@one:5432,two:5433/daybook?sslmode=disable",
		"host=one user=ada password=lovelace dbname=d": "host=one user=ada password=*** dbname=d",
		"http://a:b@one:9200,http://a:b@two:9200":      "http://a:***@one:9200,http://a:***@two:9200",
		"http://one:9200": "http://one:9200",
	} {
		if got := (Setting{Value: value}).Shown(); got != want {
			t.Errorf("%s is shown as %s", value, got)
		}
	}
	if _, _, err := load(t, "", []string{"DAYBOOK_STORE_POSTGRES_URL_FILE=" + file, "DAYBOOK_STORE_POSTGRES_URL=x"}, nil); err == nil {
		t.Error("a secret may be given twice")
	}
}
