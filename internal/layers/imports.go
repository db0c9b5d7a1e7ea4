package layers

import (
	"slices"
	"strings"
)

// A layer is a folder with all below it, less what has a row of its own. A star
// stands for one name, and each such folder is a layer by itself: frameworks/kafka
// and frameworks/cassandra are side by side.
type layer struct {
	folder string
	uses   []string // the layers that it may import besides itself and internal
}

// layers is the design, from the bottom up.
var layers = []layer{
	{"internal", nil},
	{"constraints", nil},
	{"offers", []string{"constraints"}},
	{"executor", nil},
	{"scheduler/state", nil},
	{"scheduler", []string{"scheduler/state", "offers", "constraints"}},
	{"scheduler/mesostest", []string{"scheduler", "scheduler/state", "offers", "constraints", "executor"}},
	{"frameworks", []string{"scheduler", "scheduler/state", "offers", "constraints", "executor"}},
	{"frameworks/simtest", []string{"frameworks", "scheduler/mesostest", "scheduler", "offers", "constraints"}},
	{"frameworks/cli", []string{"frameworks", "scheduler", "scheduler/state", "offers", "constraints", "executor"}},
	{"frameworks/*", []string{"frameworks/simtest", "frameworks/cli", "frameworks", "scheduler", "scheduler/state", "offers", "constraints", "executor"}},
	{"examples", []string{"frameworks/*", "frameworks/simtest", "frameworks/cli", "frameworks", "scheduler/mesostest", "scheduler", "scheduler/state", "offers", "constraints", "executor"}},
}

// mayTestOn are the layers whose tests, and packages for tests, may start an
// embedded Mesos, and run a scheduler on it. Those below are tested without one.
var mayTestOn = []string{"executor", "scheduler", "frameworks", "frameworks/cli", "frameworks/*"}

// onMesos is what such a test takes for it.
var onMesos = []string{"scheduler/mesostest", "scheduler", "scheduler/state"}

// simulated says that the engine's own tests simulate it as its users do theirs.
func simulated(from, to place) bool {
	return from.folder == "frameworks" && to.folder == "frameworks/simtest"
}

// Imports checks that imports within the module follow the layers, and that what
// is made for tests (package testing, packages named after it) stays out of programs.
func Imports(t Tree) []Breach {
	var all []Breach
	for _, f := range t.files {
		from, known := layerOf(f.dir())
		if !known {
			all = append(all, Breach{f.path, 0, "is in no layer: add it to the table in internal/layers"})
			continue
		}
		for _, i := range f.imports() {
			if i.path == "testing" && !f.isTest() && !forTests(f.dir()) {
				all = append(all, t.breach(f, i.node, "imports testing outside a test"))
			}
			dir, ours := strings.CutPrefix(i.path, Module+"/")
			if !ours {
				continue
			}
			to, known := layerOf(dir)
			switch {
			case !known:
				all = append(all, t.breach(f, i.node, "%s is in no layer", dir))
			case !from.mayImport(to, f.isTest() || forTests(f.dir())):
				all = append(all, t.breach(f, i.node, "%s must not import %s", from.unit, to.unit))
			case forTests(dir) && !f.isTest() && !forTests(f.dir()) && from.folder != "examples":
				all = append(all, t.breach(f, i.node, "%s is for tests and examples only", dir))
			}
		}
	}
	return all
}

// place is where a folder belongs.
type place struct {
	layer
	unit string // the layer's folder with names in place of stars
}

// layerOf finds the row of the most elements that fits the folder, the first of
// several: a name stands before a star.
func layerOf(dir string) (place, bool) {
	names := strings.Split(dir, "/")
	var best place
	depth := 0
	for _, l := range layers {
		parts := strings.Split(l.folder, "/")
		if len(parts) > len(names) || len(parts) <= depth {
			continue
		}
		fits := true
		for i, part := range parts {
			fits = fits && (part == "*" || part == names[i])
		}
		if fits {
			best, depth = place{l, strings.Join(names[:len(parts)], "/")}, len(parts)
		}
	}
	return best, depth > 0
}

func (from place) mayImport(to place, test bool) bool {
	return from.unit == to.unit || to.folder == "internal" || slices.Contains(from.uses, to.folder) ||
		test && (simulated(from, to) || slices.Contains(onMesos, to.folder) && slices.Contains(mayTestOn, from.folder))
}

// forTests says whether a package exists for tests: mesostest, statetest and so
// on, with the packages and commands below them.
func forTests(dir string) bool {
	return slices.ContainsFunc(strings.Split(dir, "/"), func(name string) bool { return strings.HasSuffix(name, "test") })
}
