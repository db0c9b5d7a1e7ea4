package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/cli/clitest"
	"github.com/mesokit/mesokit/internal/dist/disttest"
)

// TestLosses needs about a minute for each flavor, and so MESOKIT_SOAK.
func TestLosses(t *testing.T) {
	if os.Getenv("MESOKIT_SOAK") == "" {
		t.Skip("MESOKIT_SOAK is not set: see make soak")
	}
	for flavor, flags := range map[string]func(*testing.T) []string{
		"mysql":   func(t *testing.T) []string { return onMySQL(t, disttest.MySQL(t)) },
		"mariadb": func(t *testing.T) []string { return onMariaDB(t, disttest.MariaDB(t)) },
	} {
		t.Run(flavor, func(t *testing.T) {
			t.Parallel()
			s := begin(t, flags(t))
			conceded(t, s)
			uninstalled(t, s)
		})
	}
}

// conceded takes away the machines of the primary and of a replica. The replica that
// is left is not promoted, until an operator has read what that may cost and accepts
// it. The machines come back later, and their members are copies of it then.
func conceded(t *testing.T, s *saga) {
	was, left := s.primary(), s.Node(s.replica())
	var lost []frameworks.NodeStatus
	for _, n := range s.AwaitReady(3).Nodes {
		if n.Name != left.Name {
			lost = append(lost, n)
			s.Agent(n).Stop()
		}
	}
	began := time.Now()
	st := s.Await("it is said what to do", func(st frameworks.Status) bool {
		return strings.Contains(string(st.Routines[0].Memory), "if they are gone for good")
	})
	t.Logf("nobody can be promoted: known after %v", time.Since(began).Round(100*time.Millisecond))
	cost, complaint, status := clitest.Run(t, "promote", "--api", s.URL)
	assert.Equal(t, 1, status)
	assert.Contains(t, complaint, "nothing is done yet; say --accept-loss if that is meant")
	assert.Regexp(t, left.Name+` has \S+\d`, cost)
	assert.Contains(t, cost, fmt.Sprintf("lost: whatever was acknowledged that only %s, the last primary, had", was.Name))
	_, ok := primaryOf(st)
	require.False(t, ok, "somebody was promoted")

	began = time.Now()
	assert.Contains(t, s.Operate("promote", "--accept-loss"), left.Name+" is the primary\n")
	t.Logf("%s was promoted in %v", left.Name, time.Since(began).Round(100*time.Millisecond))
	for _, n := range lost {
		require.NoError(t, s.Agent(n).Start())
	}
	for _, n := range lost {
		s.AwaitNode(n.Name, "made anew", func(now frameworks.NodeStatus) bool { return now.Generation > n.Generation && now.Ready })
	}
	st = s.AwaitReady(3)
	t.Logf("all are ready again after %v", time.Since(began).Round(100*time.Millisecond))
	t.Logf("50 rows were acknowledged in %v", s.more(t, 50).Round(100*time.Millisecond))
	assert.Empty(t, s.seen(), "two members took writes at one time")
	s.stop()
	s.wait.Wait()
	t.Logf("the writer has ended after %v", time.Since(began).Round(100*time.Millisecond))
	for _, n := range st.Nodes {
		require.Eventually(t, func() bool { return rowsOn(t, n) == rowsOn(t, s.Node(left.Name)) }, clitest.Patience, 100*time.Millisecond,
			"%s has other rows than %s", n.Name, left.Name)
	}
	t.Logf("all have the same rows after %v", time.Since(began).Round(100*time.Millisecond))
}

func rowsOn(t *testing.T, n frameworks.NodeStatus) int {
	db := open(n.Address("mysql"))
	defer db.Close()
	count := -1
	if db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM saga.numbers").Scan(&count) != nil {
		return -1
	}
	return count
}
