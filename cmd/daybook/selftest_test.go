package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"daybook/app/selftest"
	"daybook/test/servers"
)

func TestSelftestShowsThatEveryGuaranteeHoldsAndLeavesNothingBehind(t *testing.T) {
	c := newCLI(t)
	for _, driver := range []string{"memory", "pebble"} {
		out := c.want(exitOK, "selftest --store.pebble.path ledger/data --store.driver "+driver, "one effect and one answer per key")
		if strings.Contains(out, "FAILED") || strings.Count(out, "holds") < 12 {
			t.Errorf("%s: %s", driver, out)
		}
	}
	if left, err := filepath.Glob(filepath.Join(c.dir, "ledger", "*")); err != nil || len(left) > 0 {
		t.Errorf("it left %v (%v)", left, err)
	}
	c.want(exitOK, "selftest --store.driver memory --json", `"ok":true`, `"skipped":true`)
	c.want(exitConfig, "selftest --store.driver postgres")
}

func TestSelftestOfPostgreSQLLeavesNoSchemaBehind(t *testing.T) {
	c := newCLI(t)
	url := servers.PostgresDatabase(t)
	t.Setenv("DAYBOOK_STORE_POSTGRES_URL", url)
	c.want(exitOK, "selftest --store.driver postgres", "what is stored outlives the process")
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var left int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM information_schema.schemata WHERE schema_name LIKE 'daybook%'`).Scan(&left); err != nil || left > 0 {
		t.Errorf("it left %d schemas (%v)", left, err)
	}
}

func TestSelftestEndsWithAnErrorWhenAGuaranteeDoesNotHold(t *testing.T) {
	var out, words bytes.Buffer
	cmd := &cobra.Command{}
	cmd.SetOut(&out)
	cmd.SetErr(&words)
	err := showProofs(cmd, &format{name: "table"}, "pebble", []selftest.Result{
		{Guarantee: "gravity", Tried: "an apple", Result: "down", OK: true}, {Guarantee: "levity", Tried: "a feather", Result: "it fell", OK: false},
	})
	if err == nil || exitCode(err) != exitFailure || !strings.Contains(err.Error(), "1 of 2 guarantees do not hold") {
		t.Errorf("got %v", err)
	}
	if table := out.String(); !strings.Contains(table, "FAILED") || !strings.Contains(table, "it fell") || strings.Contains(words.String(), "hold") {
		t.Errorf("got %s, %s", table, words.String())
	}
}
