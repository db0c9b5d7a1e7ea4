package clitest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// Residence is everything about a node that must outlive its task: its index,
// agent, ports and volumes.
func Residence(n frameworks.NodeStatus) string {
	var text strings.Builder
	text.WriteString(strconv.Itoa(n.Index))
	if n.Place == nil {
		return text.String() + " without a place"
	}
	fmt.Fprintf(&text, " on %s %v", n.Place.Agent, n.Place.Ports)
	for _, r := range n.Place.Resources {
		if p := r.GetDisk().GetPersistence(); p != nil {
			text.WriteString(" " + p.ID)
		}
	}
	return text.String()
}

// Agent is the one that a node lives on.
func (s *Scheduler) Agent(n frameworks.NodeStatus) *mesostest.Agent {
	s.t.Helper()
	for _, a := range s.Mesos.Agents() {
		if a.ID() == n.Place.Agent {
			return a
		}
	}
	require.FailNow(s.t, "no such agent", n.Place.Agent)
	return nil
}

// token is what in a volume's id differs from one deployment to the next.
var token = regexp.MustCompile(`-[0-9a-f]{8}\.`)

// Volumes are the directories of a role's persistent volumes on all agents, by
// their ids less what differs from one deployment to the next:
// "kafka.broker-0.1.data".
func (s *Scheduler) Volumes(role string) map[string]string {
	s.t.Helper()
	out := map[string]string{}
	for _, a := range s.Mesos.Agents() {
		found, err := filepath.Glob(filepath.Join(a.Dir(), "volumes", "roles", role, "*"))
		require.NoError(s.t, err)
		for _, path := range found {
			out[token.ReplaceAllString(filepath.Base(path), ".")] = path
		}
	}
	return out
}

// started is a line of an executor's own log. A scheduler that is killed may
// never tell of a server's start; the executor that started it always does.
var started = regexp.MustCompile(`msg="server started" task=\S+\.(\d+) pid=(\d+)`)

// PIDs are the servers that a node ever had, in the order of their starts, by
// the incarnation that started them.
func (s *Scheduler) PIDs(service, node string) map[int][]int {
	s.t.Helper()
	out := map[int][]int{}
	for _, a := range s.Mesos.Agents() {
		logs, err := filepath.Glob(filepath.Join(a.Dir(), "slaves", "*", "frameworks", "*", "executors", service+"."+node+".*", "runs", "*-*", "stderr"))
		require.NoError(s.t, err)
		for _, path := range logs {
			text, err := os.ReadFile(path)
			require.NoError(s.t, err)
			for _, m := range started.FindAllStringSubmatch(string(text), -1) {
				incarnation, err1 := strconv.Atoi(m[1])
				pid, err2 := strconv.Atoi(m[2])
				require.NoError(s.t, err1)
				require.NoError(s.t, err2)
				if !slices.Contains(out[incarnation], pid) { // told again after a rotation of the log
					out[incarnation] = append(out[incarnation], pid)
				}
			}
		}
	}
	return out
}
