package app

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the table of settings in the README")

// TestTheReadmeListsTheSettings holds the table in the README against the one in the code.
func TestTheReadmeListsTheSettings(t *testing.T) {
	const path, mark = "../README.md", "<!-- settings -->\n"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), mark)
	if !ok {
		t.Fatalf("there is no %q in the README", mark)
	}
	table, after, _ := strings.Cut(rest, "\n\n")
	want := settingsTable()
	if table == want {
		return
	}
	if !*update {
		t.Fatalf("the README's table of settings is not that of the code; go test ./app -update rewrites it. It should be\n%s", want)
	}
	if err := os.WriteFile(path, []byte(before+mark+want+"\n\n"+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

func settingsTable() string {
	lines := []string{"| flag | environment | default | what |", "|---|---|---|---|"}
	for _, k := range keys() {
		flagName, env := "`--"+k.name+"`", "`"+k.env()+"`"
		if k.fileOnly() {
			flagName, env = "`"+k.name+"` in a file", ""
		}
		value := fmt.Sprintf("`%s`", strings.Trim(yamlValue(k.value), `"`))
		if value == "``" {
			value = ""
		}
		what := k.doc
		if k.allowed != nil {
			what += " " + strings.Join(k.allowed(), ", ")
		}
		lines = append(lines, "| "+strings.Join([]string{flagName, env, value, what}, " | ")+" |")
	}
	return strings.Join(lines, "\n")
}
