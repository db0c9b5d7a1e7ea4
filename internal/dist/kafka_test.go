package dist_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mesokit/mesokit/internal/dist"
	"github.com/mesokit/mesokit/internal/dist/disttest"
)

func ExampleDistribution_Classpath() {
	d := dist.Distribution{Name: "tiny", Jars: []string{"/cache/lib/a.jar", "/cache/lib/b.jar"}}
	fmt.Println(d.Classpath())
	// Output: /cache/lib/a.jar:/cache/lib/b.jar
}

// TestKafka puts the real thing into an empty cache, and then has it again on a
// machine that has lost its mvn.
func TestKafka(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("HOME", cache) // os.UserCacheDir of macOS; mvn does not ask HOME for its own repository
	d := disttest.Kafka(t)

	if d.Name != "kafka" || d.Version != "4.3.1" {
		t.Errorf("got %s %s", d.Name, d.Version)
	}
	if !strings.HasPrefix(d.Dir, cache) {
		t.Errorf("%s is outside the cache %s", d.Dir, cache)
	}
	if d.ClassArchive == "" {
		t.Error("no class archive on a machine that has the Java for it")
	}
	java := func(args ...string) string {
		args = append([]string{"-Xshare:on", "-XX:SharedArchiveFile=" + d.ClassArchive, "-cp", d.Classpath()}, args...)
		out, err := exec.CommandContext(t.Context(), d.Java, args...).CombinedOutput()
		if err != nil {
			t.Errorf("java %q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	if out := java("kafka.Kafka", "--version"); !strings.Contains(out, "4.3.1") {
		t.Errorf("it calls itself %q", out)
	}
	if out := strings.TrimSpace(java("kafka.tools.StorageTool", "random-uuid")); len(out) != 22 {
		t.Errorf("StorageTool made the cluster id %q", out)
	}

	path := t.TempDir()
	if err := os.Symlink(d.Java, filepath.Join(path, "java")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", path)
	t.Setenv("JAVA_HOME", "")
	again, err := dist.Kafka(t.Context(), func(line string) { t.Errorf("progress %q", line) })
	if err != nil {
		t.Fatal(err)
	}
	if again.Classpath() != d.Classpath() || again.ClassArchive != d.ClassArchive {
		t.Errorf("second call: %+v, first %+v", again, d)
	}
}
