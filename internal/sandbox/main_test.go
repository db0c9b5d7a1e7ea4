package sandbox

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// starterVariable makes the test binary start a container in the work
// directory that it names, and end.
const starterVariable = "SANDBOX_TEST_START_IN"

// TestMain fails if the tests leave a process behind. All their sandboxes lie
// below one directory, which such a process would have in its environment.
func TestMain(m *testing.M) {
	if dir := os.Getenv(starterVariable); dir != "" {
		if _, err := Start(context.Background(), Config{WorkDir: WorkDir(dir), Run: testRun("c1"), Command: shell("sleep 1000")}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	dir, err := os.MkdirTemp("", "sandbox-test-")
	if err == nil {
		err = os.Setenv("TMPDIR", dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	table, err := processes()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	for _, p := range table {
		if p.defunct || p.pid == os.Getpid() {
			continue
		}
		// There is no /proc on macOS: there only children are noticed.
		env, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.pid), "environ"))
		if p.parent == os.Getpid() || bytes.Contains(env, []byte("MESOS_SANDBOX="+dir)) {
			fmt.Fprintf(os.Stderr, "process %d was left behind: %+v\n", p.pid, p)
			code = 1
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}
