package dist

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

// java is a Java runtime that was found on this machine.
type java struct {
	path    string
	version string // as it calls itself: "17.0.15", "1.8.0_392"
	build   string // changes whenever a class archive of another build would not fit
}

// findJava returns the java of JAVA_HOME or else of PATH, if it is of the major
// version oldest or newer. The error says what to install.
func findJava(ctx context.Context, oldest int) (java, error) {
	install := fmt.Sprintf("install java %d or newer: apt-get install openjdk-%[1]d-jre-headless (Debian, Ubuntu), "+
		"brew install openjdk@%[1]d (macOS)", oldest)
	path, err := exec.LookPath("java")
	if home := os.Getenv("JAVA_HOME"); home != "" {
		path, err = exec.LookPath(filepath.Join(home, "bin", "java"))
	}
	if err != nil {
		return java{}, fmt.Errorf("java was not found (%w): %s", err, install)
	}
	// On macOS a command called java is there even if no Java is: it fails when it is run.
	out, err := exec.CommandContext(ctx, path, "-version").CombinedOutput()
	if err != nil {
		return java{}, fmt.Errorf("%s -version: %w: %s: %s", path, err, lastLines(string(out), 3), install)
	}
	j := java{path: path, build: fmt.Sprintf("%x", sha256.Sum256(out))[:8]}
	var major int
	if j.version, major = parseJavaVersion(string(out)); major == 0 {
		return java{}, fmt.Errorf("%s does not tell its version (%s): %s", path, lastLines(string(out), 3), install)
	}
	if major < oldest {
		return java{}, fmt.Errorf("%s is java %s, which is too old: %s (JAVA_HOME chooses between several)", path, j.version, install)
	}
	return j, nil
}

var javaVersion = regexp.MustCompile(`version "((?:1\.)?(\d+)[^"]*)"`)

// parseJavaVersion reads what java -version prints. Before Java 9 the major
// version was the second number: "1.8.0_392". It returns 0 if there is none.
func parseJavaVersion(out string) (version string, major int) {
	m := javaVersion.FindStringSubmatch(out)
	if m == nil {
		return "", 0
	}
	major, err := strconv.Atoi(m[2])
	if err != nil {
		return "", 0
	}
	return m[1], major
}
