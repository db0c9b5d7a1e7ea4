package layers

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// checks are all the rules, each with what it must find in the bad example of its name.
var checks = []struct {
	name  string
	check func(*testing.T, Tree) ([]Breach, error)
	want  []string
}{
	{"imports", onlyTree(Imports), []string{
		"constraints/a.go:5: constraints must not import offers",
		"constraints/a_test.go:4: constraints must not import scheduler/mesostest",
		"examples/quickstart/a.go:5: plugins is in no layer",
		"executor/a.go:5: executor must not import scheduler/state",
		"frameworks/cassandra/a.go:4: frameworks/cassandra must not import examples",
		"frameworks/cli/a.go:5: frameworks/cli must not import frameworks/kafka",
		"frameworks/cli/a.go:6: frameworks/cli must not import scheduler/mesostest",
		"frameworks/kafka/a.go:6: frameworks/kafka must not import frameworks/cassandra",
		"frameworks/kafka/a.go:7: frameworks/kafka must not import scheduler/mesostest",
		"frameworks/kafka/a.go:8: scheduler/state/statetest is for tests and examples only",
		"internal/model/a.go:5: internal must not import offers",
		"offers/a.go:5: offers must not import executor",
		"offers/a.go:6: offers must not import scheduler",
		"scheduler/a.go:4: scheduler must not import frameworks",
		"scheduler/a.go:6: scheduler must not import scheduler/mesostest",
		"scheduler/a.go:8: imports testing outside a test",
		"scheduler/a_test.go:4: scheduler must not import frameworks",
		"scheduler/mesostest/a.go:4: scheduler/mesostest must not import frameworks",
		"scheduler/state/a.go:4: scheduler/state must not import scheduler",
		"util/a.go: is in no layer: add it to the table in internal/layers",
	}},
	{"purity", onlyTree(Purity), []string{
		"constraints/a.go:4: is pure and must not import crypto/rand",
		"constraints/a.go:5: is pure and must not import log",
		"constraints/a.go:7: is pure and must not import math/rand/v2",
		"constraints/a.go:8: is pure and must not import net/http",
		"constraints/a.go:9: is pure and must not import os",
		"constraints/a.go:10: is pure and must not import sync/atomic",
		"constraints/a.go:17: is pure and must not start a goroutine",
		"constraints/a.go:18: is pure and must not use slog.Info",
		"constraints/a.go:19: is pure and must not use time.Since",
		"constraints/dot.go:3: is pure and must not use a dot import",
		"scheduler/machine_acks.go:3: is pure and must not import sync",
	}},
	{"toplevel", func(_ *testing.T, tree Tree) ([]Breach, error) { return TopLevel(tree) }, []string{
		"tools.sh: does not belong at the top of the tree, which is fixed: find its layer",
		"util: does not belong at the top of the tree, which is fixed: find its layer",
	}},
	{"docs", onlyTree(Docs), []string{
		"examples/a: is a command without a comment that says what it is",
		"executor/doc.go: has no package comment",
		"scheduler: has no doc.go",
	}},
	{"sleeps", onlyTree(Sleeps), []string{
		"offers/a_test.go:9: tests must not use time.Sleep: wait for a condition, or use testing/synctest",
	}},
	{"readme", func(t *testing.T, tree Tree) ([]Breach, error) { return Readme(t.Context(), tree) }, []string{
		"README.md:20: undefined: offers.Miss",
		"README.md:24: a Go block must be a whole file that begins with a package clause",
		"README.md:32: t.Skippy undefined (type *testing.T has no field or method Skippy)",
	}},
}

func onlyTree(check func(Tree) []Breach) func(*testing.T, Tree) ([]Breach, error) {
	return func(_ *testing.T, t Tree) ([]Breach, error) { return check(t), nil }
}

// TestRepository holds this repository to every rule.
func TestRepository(t *testing.T) {
	t.Parallel()
	tree, err := Parse("../..")
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.files) == 0 {
		t.Fatal("found no Go files")
	}
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			breaches, err := c.check(t, tree)
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range breaches {
				t.Error(b)
			}
		})
	}
}

// TestBadExamples shows that every rule can fail, and that it finds no more than
// what is wrong: the examples hold what is allowed beside it.
func TestBadExamples(t *testing.T) {
	t.Parallel()
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			tree, err := Parse("testdata/" + c.name)
			if err != nil {
				t.Fatal(err)
			}
			breaches, err := c.check(t, tree)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, b := range breaches {
				got = append(got, b.String())
			}
			slices.Sort(got)
			want := slices.Sorted(slices.Values(c.want))
			if !slices.Equal(got, want) {
				t.Errorf("found\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
			}
		})
	}
}

// TestReadmeCannotImportInternal: the module of a reader is another one.
func TestReadmeCannotImportInternal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := readersModule("testdata/readme", dir); err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir, "a.go", "package a\n\nimport _ \""+Module+"/internal/model\"\n")
	if _, err := vet(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "use of internal package") {
		t.Errorf("error %v, want use of internal package", err)
	}
}

func TestMissingReadme(t *testing.T) {
	t.Parallel()
	breaches, err := Readme(t.Context(), Tree{root: t.TempDir()})
	if err != nil || len(breaches) != 1 || breaches[0].String() != "README.md: is missing" {
		t.Errorf("found %v, %v", breaches, err)
	}
}

func TestParseNamesTheBrokenFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFile(t, dir, "broken.go", "package a\nfunc {\n")
	if _, err := Parse(dir); err == nil || !strings.Contains(err.Error(), "broken.go:2:") {
		t.Errorf("error %v, want one that names broken.go:2", err)
	}
}

func writeFile(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
