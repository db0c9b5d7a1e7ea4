package jvm_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/internal/dist/disttest"
	"github.com/mesokit/mesokit/internal/jvm"
)

func TestCheckFlags(t *testing.T) {
	t.Parallel()
	for flag, want := range map[string]string{
		"-XX:+UseSerialGC":               "",
		"-Xms32m":                        "",
		"-Xms256M":                       "",
		"-Dkey=value":                    "",
		"-javaagent:/opt/agent.jar=8778": "",
		"--add-opens=java.base/java.io=ALL-UNNAMED": "",
		"-XX:MaxMetaspaceSize=64m":                  "",
		"-Xmx1g":                                    "a setting of its own",
		"-XX:MaxHeapSize=1g":                        "a setting of its own",
		"-XX:MaxRAMPercentage=80":                   "a setting of its own",
		"-cp":                                       "sets the classpath",
		"--class-path=/a.jar":                       "sets the classpath",
		"-jar":                                      "main class",
		"-version":                                  "would not start",
		"-Xms257m":                                  "at most the largest heap, 256 MiB",
		"-XX:InitialHeapSize=1t":                    "at most the largest heap",
		"-Xms":                                      "wants a size such as 64m",
		"-Xmsmuch":                                  "wants a size such as 64m",
		"-Xms99999999999t":                          "wants a size such as 64m",
		"":                                          "wants one flag",
		"--add-opens\njava.base":                    "wants one flag",
		"java.base/java.io=ALL-UNNAMED":             "wants one flag",
	} {
		err := jvm.CheckFlags([]string{"-ea", flag}, 256)
		if want == "" {
			assert.NoError(t, err, flag)
		} else if assert.ErrorContains(t, err, want, flag) {
			assert.NotContains(t, err.Error(), "-ea")
		}
	}
}

func TestClasspath(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		directory string
		folders   []string
		want      string
	}{
		{"", []string{"libs"}, ""},
		{"/opt/kafka", []string{"libs"}, "/opt/kafka/libs/*"},
		{"/opt/kafka/", []string{"libs"}, "/opt/kafka/libs/*"},
		{"/opt/kafka/libs", []string{"libs"}, "/opt/kafka/libs/*"},
		{"/opt/kafka/libs/*", []string{"libs"}, "/opt/kafka/libs/*"},
		{"/a.jar:/b.jar", []string{"libs"}, "/a.jar:/b.jar"},
		{"/opt/kafka.jar", []string{"libs"}, "/opt/kafka.jar"},
		{"/opt/hadoop", []string{"share/common", "share/hdfs"}, "/opt/hadoop/share/common/*:/opt/hadoop/share/hdfs/*"},
	} {
		assert.Equal(t, test.want, jvm.Classpath(test.directory, test.folders...), test.directory)
	}
}

func TestCheckClasspath(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	jar := filepath.Join(dir, "a.jar")
	require.NoError(t, os.WriteFile(jar, nil, 0o644))
	empty := filepath.Join(dir, "empty")
	require.NoError(t, os.Mkdir(empty, 0o755))

	assert.NoError(t, jvm.CheckClasspath("/", jar+":"+dir+":"+dir+"/*"))
	assert.ErrorContains(t, jvm.CheckClasspath("/", empty+"/*"), "no jars in "+empty+" on this machine")
	assert.ErrorContains(t, jvm.CheckClasspath("/", filepath.Join(dir, "none")+"/*"), "no jars in ")
	assert.NoError(t, jvm.CheckClasspath(dir, "a.jar:*"))
	err := jvm.CheckClasspath("/", jar+":"+filepath.Join(dir, "b.jar"))
	require.ErrorIs(t, err, os.ErrNotExist)
	assert.NotContains(t, err.Error(), "a.jar")
}

// TestJavaReadsTheArgumentFile asks a real java what it understood.
func TestJavaReadsTheArgumentFile(t *testing.T) {
	java := disttest.Kafka(t).Java
	for _, value := range []string{"plain", "with blanks", `back\slash\n`, `"quoted"`, "#no comment"} {
		file := filepath.Join(t.TempDir(), "java.args")
		require.NoError(t, os.WriteFile(file, jvm.ArgumentFile("-Dmesokit.value="+value, "-Xmx32m", "-XshowSettings:properties"), 0o644))
		out, err := exec.CommandContext(t.Context(), java, "@"+file, "-Dfile.encoding=UTF-8", "-version").CombinedOutput()
		require.NoError(t, err, string(out))
		assert.Contains(t, string(out), "mesokit.value = "+value+"\n", strings.TrimSpace(value))
	}
}
