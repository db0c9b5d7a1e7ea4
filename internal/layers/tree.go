package layers

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// Module is the path of the module whose tree is checked.
const Module = "github.com/mesokit/mesokit"

// Breach is one place that breaks a rule.
type Breach struct {
	Path string // of a file or folder, with slashes, from the top of the tree
	Line int    // from 1, or 0 for the whole of it
	Text string // which rule, and what would be right
}

// String is "path:line: text".
func (b Breach) String() string {
	if b.Line == 0 {
		return b.Path + ": " + b.Text
	}
	return fmt.Sprintf("%s:%d: %s", b.Path, b.Line, b.Text)
}

// A Tree is the parsed Go source below a folder, less what the go command
// ignores: testdata, and names that begin with a dot or an underscore.
type Tree struct {
	root  string
	fset  *token.FileSet
	files []file // in lexical order of their paths
}

type file struct {
	*ast.File
	path string // with slashes, from the root
}

// Parse reads the tree below the folder root.
func Parse(root string) (Tree, error) {
	t := Tree{root: root, fset: token.NewFileSet()}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_") || d.Name() == "testdata"
		if d.IsDir() && hidden && name != root {
			return fs.SkipDir
		}
		if d.IsDir() || hidden || !strings.HasSuffix(name, ".go") {
			return nil
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(t.fset, filepath.ToSlash(rel), src, parser.ParseComments)
		if err != nil {
			return err
		}
		t.files = append(t.files, file{parsed, filepath.ToSlash(rel)})
		return nil
	})
	if err != nil {
		return Tree{}, fmt.Errorf("parse the tree: %w", err)
	}
	return t, nil
}

// dir is the folder of f, "." at the top.
func (f file) dir() string { return path.Dir(f.path) }

func (f file) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }

// imported is one import of a file.
type imported struct {
	path string
	name string // what the file calls it; the path's last element unless renamed
	node ast.Node
}

func (f file) imports() []imported {
	var all []imported
	for _, spec := range f.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil { // the parser has checked it
			continue
		}
		i := imported{path: p, name: path.Base(p), node: spec}
		if spec.Name != nil {
			i.name = spec.Name.Name
		}
		all = append(all, i)
	}
	return all
}

// uses calls found with each use of one of the names of the package whose import
// path is given, as in time.Now, and with a dot import, which would hide them.
func (f file) uses(pkg string, names []string, found func(node ast.Node, name string)) {
	for _, i := range f.imports() {
		if i.path != pkg {
			continue
		}
		if i.name == "." {
			found(i.node, "a dot import")
			continue
		}
		ast.Inspect(f.File, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == i.name {
				for _, name := range names {
					if sel.Sel.Name == name {
						found(sel, path.Base(pkg)+"."+name)
					}
				}
			}
			return true
		})
	}
}

func (t Tree) breach(f file, at ast.Node, format string, args ...any) Breach {
	return Breach{f.path, t.fset.Position(at.Pos()).Line, fmt.Sprintf(format, args...)}
}
