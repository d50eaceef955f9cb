package app

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// configFile knows on which line of a YAML file each key stands; viper forgets that, and people who mend a file want it.
type configFile struct {
	path  string
	lines map[string]int // by dotted key
}

func parseConfigFile(path string) (configFile, error) {
	f := configFile{path: path, lines: map[string]int{}}
	text, err := os.ReadFile(path)
	if err != nil {
		return f, fmt.Errorf("the configuration file cannot be read: %w", err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return f, fmt.Errorf("%s is not valid YAML: %w", path, err)
	}
	if len(doc.Content) == 0 { // an empty file
		return f, nil
	}
	if doc.Content[0].Kind != yaml.MappingNode {
		return f, fmt.Errorf("%s:%d: a configuration is a mapping of settings", path, doc.Content[0].Line)
	}
	f.collect("", doc.Content[0])
	return f, nil
}

func (f *configFile) collect(prefix string, mapping *yaml.Node) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		name, value := prefix+mapping.Content[i].Value, mapping.Content[i+1]
		if value.Kind == yaml.MappingNode && len(value.Content) > 0 {
			f.collect(name+".", value)
			continue
		}
		f.lines[name] = mapping.Content[i].Line
	}
}

// unknown says which keys of the file are no settings, and what may have been meant.
func (f *configFile) unknown() []string {
	var known []string
	for _, k := range keys() {
		known = append(known, k.name)
	}
	var problems []string
	for _, name := range slices.Sorted(maps.Keys(f.lines)) {
		if !slices.Contains(known, name) {
			problems = append(problems, fmt.Sprintf("%s:%d: there is no setting %q%s", f.path, f.lines[name], name, hint(name, known)))
		}
	}
	return problems
}

// hint names the word that is nearest to what was written, if any is near.
func hint(written string, words []string) string {
	best, distance := "", len(written)/2+1
	for _, w := range words {
		if d := editDistance(strings.ToLower(written), strings.ToLower(w)); d < distance {
			best, distance = w, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// editDistance is the least number of insertions, deletions and replacements that make a into b (Levenshtein 1965).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

// Example writes a configuration file with every setting at its default, each with its comment.
func Example() string {
	var b strings.Builder
	b.WriteString("# Settings of Daybook. A flag (--http.addr) is stronger than an environment variable (DAYBOOK_HTTP_ADDR), and that is\n")
	b.WriteString("# stronger than this file. What stands here is the default.\n")
	section := []string{}
	for _, k := range keys() {
		path := strings.Split(k.name, ".")
		for i, part := range path[:len(path)-1] {
			if i < len(section) && section[i] == part {
				continue
			}
			section = append(section[:i:i], part)
			if i == 0 {
				b.WriteByte('\n')
			}
			fmt.Fprintf(&b, "%s%s:\n", strings.Repeat("  ", i), part)
		}
		if len(path) == 1 {
			section = nil
			b.WriteByte('\n')
		}
		indent := strings.Repeat("  ", len(path)-1)
		comment := k.doc
		if k.allowed != nil {
			comment += " One of " + strings.Join(k.allowed(), ", ") + "."
			if _, list := k.value.([]string); list {
				comment = k.doc + " Any of " + strings.Join(k.allowed(), ", ") + "."
			}
		}
		fmt.Fprintf(&b, "%s# %s\n%s%s: %s\n", indent, comment, indent, path[len(path)-1], yamlValue(k.value))
	}
	return b.String()
}

func yamlValue(v any) string {
	switch v := v.(type) {
	case []string:
		return "[" + strings.Join(v, ", ") + "]"
	case []any:
		return "[]"
	case string:
		return fmt.Sprintf("%q", v)
	}
	return fmt.Sprint(v)
}
