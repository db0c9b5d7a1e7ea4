package kafka

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/internal/jvm"
)

const (
	formatStep    = "kafka-format"
	formatFile    = "format.properties"
	formatTimeout = 2 * time.Minute
)

// What the format step finds in its environment.
const (
	envJava        = "KAFKA_JAVA"
	envClasspath   = "KAFKA_CLASSPATH"
	envCluster     = "KAFKA_CLUSTER_ID"
	envNode        = "KAFKA_NODE_ID"
	envControllers = "KAFKA_INITIAL_CONTROLLERS"
	envMember      = "KAFKA_MEMBER" // "true": the volume holds a broker that has been in the cluster
)

// Steps are the functions that this framework's executor needs; give them to
// executor.Main.
func Steps() map[string]executor.StepFunc {
	return map[string]executor.StepFunc{formatStep: format}
}

// format writes a node's identity into its volume, once. What is formatted is
// compared and never written again: Kafka itself takes a minute to fail when it
// finds the identity of another cluster. What is not is formatted beside its
// place and moved there whole, so that a format that was cut leaves nothing
// that looks like one.
func format(ctx context.Context, s executor.Sandbox) error {
	env := map[string]string{}
	for _, line := range s.Env {
		key, value, _ := strings.Cut(line, "=")
		env[key] = value
	}
	if err := jvm.CheckClasspath(s.Dir, env[envClasspath]); err != nil {
		return fmt.Errorf("find the jars of Distribution.Classpath (--kafka): %w", err)
	}
	dir := filepath.Join(s.Dir, logDir)
	switch identity, err := readIdentity(filepath.Join(dir, "meta.properties")); {
	case err == nil:
		s.Report("already formatted")
		return identity.check(env[envCluster], env[envNode])
	case !errors.Is(err, fs.ErrNotExist):
		return err
	case env[envMember] == "true":
		// Formatted anew it would come back under its id without what it has
		// promised to keep: as a controller it could vote twice.
		return fmt.Errorf("%s was emptied, or is not mounted: it held node %q of cluster %q; bring it back, or replace the broker", logDir, env[envNode], env[envCluster])
	}
	if err := os.RemoveAll(dir + ".new"); err != nil {
		return err
	}
	if err := runFormat(ctx, s, env); err != nil {
		return fmt.Errorf("format %s: %w", logDir, err)
	}
	return os.Rename(dir+".new", dir)
}

// runFormat runs Kafka's own StorageTool for the directory beside logDir.
func runFormat(ctx context.Context, s executor.Sandbox, env map[string]string) error {
	properties, err := os.ReadFile(filepath.Join(s.Dir, propertiesFile))
	if err != nil {
		return err
	}
	properties = fmt.Appendf(properties, "log.dirs=%s.new\n", logDir) // the last line of a key holds
	if err := os.WriteFile(filepath.Join(s.Dir, formatFile), properties, 0o644); err != nil {
		return err
	}
	args := []string{"@" + argumentsFile, "kafka.tools.StorageTool", "format",
		"--cluster-id=" + env[envCluster], "--config", formatFile} // an id may begin with "-"
	if env[envControllers] == "" {
		args = append(args, "--no-initial-controllers")
	} else {
		args = append(args, "--initial-controllers", env[envControllers])
	}
	command := exec.CommandContext(ctx, env[envJava], args...)
	var output bytes.Buffer
	command.Dir, command.Env, command.Stdout, command.Stderr = s.Dir, s.Env, &output, &output
	err = command.Run()
	s.Log.Write(output.Bytes())
	if err != nil {
		return fmt.Errorf("%w: %s", err, lastLine(output.String()))
	}
	return nil
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// identity is what meta.properties says a directory belongs to.
type identity struct{ cluster, node string }

func readIdentity(path string) (identity, error) {
	file, err := os.Open(path)
	if err != nil {
		return identity{}, err
	}
	defer file.Close()
	var id identity
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		switch key, value, _ := strings.Cut(lines.Text(), "="); key {
		case "cluster.id":
			id.cluster = value
		case "node.id":
			id.node = value
		}
	}
	return id, lines.Err()
}

func (id identity) check(cluster, node string) error {
	if id.cluster != cluster || id.node != node {
		return fmt.Errorf("%s belongs to node %q of cluster %q, not to node %q of cluster %q: replace the broker, or bring its own volume back",
			logDir, id.node, id.cluster, node, cluster)
	}
	return nil
}
