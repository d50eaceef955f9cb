package faulttable

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The page keeps what is written by hand before and after its two generated parts.
const (
	tableMark  = "<!-- faults: written by go test ./test/faulttable -update -->\n"
	proofsMark = "<!-- proofs: written by go test ./test/faulttable -update -->\n"
	endMark    = "<!-- end -->\n"
)

// table shows what was tried of each fault, by group.
func table(rows []Row, proofs []Proof) string {
	var b strings.Builder
	group := ""
	for _, r := range rows {
		if r.Group != group {
			group = r.Group
			fmt.Fprintf(&b, "\n### %s\n\n| | fault | what users see | embedded | production |\n|---|---|---|---|---|\n", group)
		}
		sees := r.Sees
		if r.Not != "" {
			sees += " *Not covered: " + r.Not + "*"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.Number, r.Fault, sees, tried(r, Embedded, proofs), tried(r, Production, proofs))
	}
	return strings.TrimPrefix(b.String(), "\n")
}

// tried is the cell of a row that says on which parts of a program it has passed.
func tried(r Row, program SetUp, proofs []Proof) string {
	var on []string
	for _, p := range proofs {
		switch {
		case p.Row != r.Number || !slices.Contains(p.On.programs(), program):
		case p.On == program:
			on = append(on, "passed")
		default:
			on = append(on, "passed: "+string(p.On))
		}
	}
	slices.Sort(on)
	if on = slices.Compact(on); len(on) == 0 {
		return "–"
	}
	return strings.ReplaceAll(strings.Join(on, ", "), ", passed: ", ", ")
}

// list shows each proof with the command that runs it.
func list(proofs []Proof) string {
	var b strings.Builder
	b.WriteString("| | on | test |\n|---|---|---|\n")
	for _, p := range proofs {
		fmt.Fprintf(&b, "| %s | %s | `go test -run '^%s$' ./%s%s` |\n", p.Row, p.On, p.Test, p.Package, strings.TrimRight(" "+p.Flags, " "))
	}
	return b.String()
}

var listed = regexp.MustCompile("(?m)^\\| (F\\d+) \\| (\\w+) \\| `go test -run '\\^(\\w+)\\$' \\./([\\w/]+) ?(.*)` \\|$")

// claims are the proofs that a page lists.
func claims(page string) (proofs []Proof) {
	for _, m := range listed.FindAllStringSubmatch(page, -1) {
		proofs = append(proofs, Proof{Row: m[1], On: SetUp(m[2]), Test: m[3], Package: m[4], Flags: m[5]})
	}
	return proofs
}

// render is the page with its generated parts written anew.
func render(page string, proofs []Proof) (string, error) {
	slices.SortFunc(proofs, func(a, b Proof) int {
		return cmp.Or(cmp.Compare(number(a.Row), number(b.Row)), cmp.Compare(a.On, b.On), cmp.Compare(a.Package, b.Package), cmp.Compare(a.Test, b.Test))
	})
	page, err := between(page, tableMark, table(Rows(), proofs))
	if err != nil {
		return "", err
	}
	return between(page, proofsMark, list(proofs))
}

// number is that of a row.
func number(row string) int {
	n, _ := strconv.Atoi(strings.TrimPrefix(row, "F")) // Covers takes no row that has none
	return n
}

// between replaces what stands between a mark and the next end.
func between(page, mark, text string) (string, error) {
	before, rest, ok := strings.Cut(page, mark)
	_, after, ended := strings.Cut(rest, endMark)
	if !ok || !ended {
		return "", fmt.Errorf("the page has no %q that ends with %q", mark, endMark)
	}
	return before + mark + "\n" + text + "\n" + endMark + after, nil
}

// merge gives the proofs of a page after a number of runs: what they showed, and what was there before and they did not try. What no
// test says any more, and what has failed, is gone.
func merge(before []Proof, runs []note, tests []Proof) []Proof {
	all := map[Proof]Proof{}
	for _, p := range before {
		all[p.key()] = p
	}
	for _, n := range runs {
		delete(all, n.key())
		if n.Passed {
			all[n.key()] = n.Proof
		}
	}
	var proofs []Proof
	for _, p := range all {
		if slices.Contains(tests, p.key()) {
			proofs = append(proofs, p)
		}
	}
	return proofs
}
