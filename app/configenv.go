package app

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

func splitList(text string) []string {
	var out []string
	for word := range strings.SplitSeq(text, ",") {
		if word = strings.TrimSpace(word); word != "" {
			out = append(out, word)
		}
	}
	return out
}

func variables(environ []string) map[string]string {
	vars := map[string]string{}
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok && strings.HasPrefix(name, envPrefix) {
			vars[name] = value
		}
	}
	return vars
}

// foreignEnv are the variables of ours that are not settings of the server: DAYBOOK_TEST_… and those of the client.
func foreignEnv(name string) bool {
	switch name {
	case "DAYBOOK_SERVER", "DAYBOOK_CONFIG", "DAYBOOK_API_KEY", "DAYBOOK_API_KEY_FILE":
		return true
	}
	return strings.HasPrefix(name, "DAYBOOK_TEST_")
}

func unknownEnv(environ []string) []string {
	var known []string
	for _, k := range keys() {
		known = append(known, k.env())
		if k.secret() {
			known = append(known, k.env()+fromFile)
		}
	}
	var problems []string
	for _, name := range slices.Sorted(maps.Keys(variables(environ))) {
		if !foreignEnv(name) && !slices.Contains(known, name) {
			problems = append(problems, fmt.Sprintf("environment variable %s: there is no such setting%s", name, hint(name, known)))
		}
	}
	return problems
}

// fromFile ends the variable that names a file with the value of a secret setting.
const fromFile = "_FILE"

// readSecrets puts the values of secret settings that are given in files among the variables, and says which files those are.
func readSecrets(vars map[string]string) (files, problems []string) {
	for _, k := range keys() {
		path, ok := vars[k.env()+fromFile]
		if !ok || !k.secret() {
			continue
		}
		text, err := os.ReadFile(path)
		switch {
		case vars[k.env()] != "":
			problems = append(problems, fmt.Sprintf("environment variables %s and %s%s are both set: choose one", k.env(), k.env(), fromFile))
		case err != nil:
			problems = append(problems, fmt.Sprintf("environment variable %s%s: %v", k.env(), fromFile, err))
		default:
			vars[k.env()] = strings.TrimSpace(string(text))
			files = append(files, path)
		}
	}
	return files, problems
}

// password is where a password stands in the URL, or in the words, of a connection.
var password = regexp.MustCompile(`(://[^:/@,\s]*:)[^@\s]*(@)|(password=)[^\s&]+()`)

// Shown is the value as people may see it: without a password.
func (s Setting) Shown() any {
	text, ok := s.Value.(string)
	if !ok {
		return s.Value
	}
	return password.ReplaceAllString(text, "$1$3***$2$4")
}
