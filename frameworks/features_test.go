package frameworks

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Each test that FEATURES.md names is in the tree, and each row of ours that says
// Y names one.
func TestFeaturesAreShownByTests(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("FEATURES.md")
	require.NoError(t, err)
	tests := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	require.NoError(t, filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		code, err := os.ReadFile(path)
		for _, m := range declared.FindAllStringSubmatch(string(code), -1) {
			tests[m[1]] = true
		}
		return err
	}))
	named := regexp.MustCompile(`\bTest\w+`)
	rows := 0
	for line := range strings.SplitSeq(string(text), "\n") {
		for _, name := range named.FindAllString(line, -1) {
			assert.True(t, tests[name], "%s is no test of the tree", name)
		}
		cells := strings.Split(line, "|")
		if len(cells) < 6 || !strings.HasPrefix(strings.TrimSpace(cells[2]), "Y") {
			continue
		}
		rows++
		assert.Regexp(t, named, cells[3], "%s: a Y wants the test that shows it", cells[1])
	}
	assert.Greater(t, rows, 30)
}
