package disttest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/mesokit/mesokit/internal/dist"
)

// ended records how a test would have ended.
type ended struct {
	testing.TB
	how string
}

func (e *ended) Fatalf(format string, args ...any) {
	e.how = "failed: " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (e *ended) Skipf(format string, args ...any) {
	e.how = "skipped: " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestWithoutServer(t *testing.T) {
	for _, test := range []struct {
		name, ci string
		file     func(dir string) string
		how      string
		told     bool
	}{
		{"in CI", "true", func(dir string) string { return filepath.Join(dir, "f") }, "failed: a real server", false},
		{"on a desk", "", func(dir string) string { return filepath.Join(dir, "f") }, "skipped: NOT RUN", true},
		{"on a desk without make", "", func(string) string { return "" }, "skipped: NOT RUN", false},
		{"nowhere to tell", "", func(dir string) string { return filepath.Join(dir, "none", "f") }, "failed: this test cannot run", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := test.file(t.TempDir())
			t.Setenv(ci, test.ci)
			t.Setenv(notRun, file)
			e := &ended{TB: t}
			done := make(chan struct{})
			go func() {
				defer close(done)
				obtain(e, func(context.Context, func(string)) (dist.Distribution, error) {
					return dist.Distribution{}, errors.New("no network")
				})
			}()
			<-done
			if !strings.HasPrefix(e.how, test.how) || !strings.Contains(e.how, "no network") && test.how != "failed: this test cannot run" {
				t.Errorf("the test %q, want %q and the reason", e.how, test.how)
			}
			text, _ := os.ReadFile(file)
			if told := string(text) == t.Name()+": no network\n"; told != test.told {
				t.Errorf("the file says %q", text)
			}
		})
	}
}

func TestWithServer(t *testing.T) {
	got := obtain(t, func(context.Context, func(string)) (dist.Distribution, error) {
		return dist.Distribution{Name: "tiny"}, nil
	})
	if got.Name != "tiny" {
		t.Errorf("got %+v", got)
	}
}
