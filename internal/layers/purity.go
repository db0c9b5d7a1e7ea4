package layers

import (
	"go/ast"
	"path"
	"slices"
	"strings"
)

// pure are the packages that must give equal results for equal histories, and
// the files of one that is pure in part. A star stands for any part of a name.
var pure = []string{
	"constraints/*.go",
	"offers/*.go",
	"internal/model/*.go",
	"scheduler/machine*.go",
	"scheduler/view*.go",
	"scheduler/action*.go",
	"scheduler/event*.go",
}

// impure are packages that reach outside or order things by chance; all below
// them counts. What follows may be imported for its types, less the names given.
var (
	impure = []string{"crypto/rand", "log", "math/rand", "net", "os", "sync", "syscall"}

	impureNames = map[string][]string{
		"net/netip": {}, // addresses as values
		"time":      {"After", "AfterFunc", "NewTicker", "NewTimer", "Now", "Since", "Sleep", "Tick", "Until"},
		// An effect may carry a log line as data; Run writes it.
		"log/slog": {"Debug", "DebugContext", "Default", "Error", "ErrorContext", "Info", "InfoContext", "Log", "LogAttrs",
			"Logger", "New", "NewJSONHandler", "NewLogLogger", "NewTextHandler", "SetDefault", "Warn", "WarnContext", "With"},
	}
)

// Purity checks the pure packages and files, tests excepted.
func Purity(t Tree) []Breach {
	var all []Breach
	for _, f := range t.files {
		if f.isTest() || !isPure(f.path) {
			continue
		}
		for _, i := range f.imports() {
			under := func(p string) bool { return i.path == p || strings.HasPrefix(i.path, p+"/") }
			if impureNames[i.path] == nil && slices.ContainsFunc(impure, under) {
				all = append(all, t.breach(f, i.node, "is pure and must not import %s", i.path))
			}
		}
		for _, pkg := range []string{"time", "log/slog"} {
			f.uses(pkg, impureNames[pkg], func(node ast.Node, name string) {
				all = append(all, t.breach(f, node, "is pure and must not use %s", name))
			})
		}
		ast.Inspect(f.File, func(n ast.Node) bool {
			if _, ok := n.(*ast.GoStmt); ok {
				all = append(all, t.breach(f, n, "is pure and must not start a goroutine"))
			}
			return true
		})
	}
	return all
}

func isPure(name string) bool {
	return slices.ContainsFunc(pure, func(pattern string) bool {
		ok, err := path.Match(pattern, name)
		return err == nil && ok
	})
}
