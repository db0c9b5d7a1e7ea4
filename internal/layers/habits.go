package layers

import (
	"bufio"
	"errors"
	"fmt"
	"go/ast"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// top is all that may lie at the top of the tree, besides names with a dot in
// front and what .gitignore names.
var top = []string{
	"LICENSE", "Makefile", "README.md", "constraints", "examples", "executor",
	"frameworks", "go.mod", "go.sum", "internal", "offers", "scheduler",
}

// TopLevel checks what lies at the top of the tree.
func TopLevel(t Tree) ([]Breach, error) {
	entries, err := os.ReadDir(t.root)
	if err != nil {
		return nil, err
	}
	ignored, err := ignoredAtTop(t.root)
	if err != nil {
		return nil, err
	}
	var all []Breach
	for _, e := range entries {
		name := e.Name()
		is := func(pattern string) bool { ok, err := path.Match(pattern, name); return err == nil && ok }
		if strings.HasPrefix(name, ".") || slices.Contains(top, name) || slices.ContainsFunc(ignored, is) {
			continue
		}
		all = append(all, Breach{name, 0, "does not belong at the top of the tree, which is fixed: find its layer"})
	}
	return all, nil
}

// ignoredAtTop returns the patterns of .gitignore that can match at the top.
func ignoredAtTop(root string) ([]string, error) {
	f, err := os.Open(filepath.Join(root, ".gitignore"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var patterns []string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		pattern := strings.Trim(strings.TrimSpace(lines.Text()), "/")
		if pattern != "" && !strings.HasPrefix(pattern, "#") && !strings.Contains(pattern, "/") {
			patterns = append(patterns, pattern)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read .gitignore: %w", err)
	}
	return patterns, nil
}

// Docs checks that each package has a doc.go with its documentation, and each
// command a comment that says what it is.
func Docs(t Tree) []Breach {
	var all []Breach
	code := map[string][]file{}
	for _, f := range t.files {
		if !f.isTest() {
			code[f.dir()] = append(code[f.dir()], f)
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(code)) {
		files := code[dir]
		documented := func(f file) bool { return f.Doc != nil }
		if files[0].Name.Name == "main" {
			if !slices.ContainsFunc(files, documented) {
				all = append(all, Breach{dir, 0, "is a command without a comment that says what it is"})
			}
			continue
		}
		i := slices.IndexFunc(files, func(f file) bool { return path.Base(f.path) == "doc.go" })
		switch {
		case i < 0:
			all = append(all, Breach{dir, 0, "has no doc.go"})
		case !documented(files[i]):
			all = append(all, Breach{files[i].path, 0, "has no package comment"})
		}
	}
	return all
}

// Sleeps checks that no test sleeps.
func Sleeps(t Tree) []Breach {
	var all []Breach
	for _, f := range t.files {
		if !f.isTest() {
			continue
		}
		f.uses("time", []string{"Sleep"}, func(node ast.Node, name string) {
			all = append(all, t.breach(f, node, "tests must not use %s: wait for a condition, or use testing/synctest", name))
		})
	}
	return all
}
