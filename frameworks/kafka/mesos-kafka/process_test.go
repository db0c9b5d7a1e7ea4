package main

import (
	"testing"

	"github.com/mesokit/mesokit/frameworks/cli/clitest"
	"github.com/mesokit/mesokit/internal/dist"
)

func TestMain(m *testing.M) { clitest.Main(m, main) }

// onKafka are the flags for small brokers.
func onKafka(d dist.Distribution, more ...string) []string {
	args := []string{
		"--kafka", d.Classpath(), "--java", d.Java,
		"--cpus", "0.2", "--mem", "384", "--heap", "128", "--disk", "512",
		"--jvm-flag", "-Xms32m", "--jvm-flag", "-XX:+UseSerialGC", "--jvm-flag", "-XX:TieredStopAtLevel=1",
		"--option", "broker.session.timeout.ms=3000", "--option", "broker.heartbeat.interval.ms=500",
	}
	if d.ClassArchive != "" {
		args = append(args, "--jvm-flag", "-XX:SharedArchiveFile="+d.ClassArchive)
	}
	return append(args, more...)
}
