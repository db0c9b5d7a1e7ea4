package main

import (
	"testing"
	"time"

	"github.com/mesokit/mesokit/frameworks/cli/clitest"
	"github.com/mesokit/mesokit/internal/dist/disttest"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

func TestRing(t *testing.T) {
	server := disttest.Cassandra(t)
	c := mesostest.New(t, clitest.QuickAgents(5, "cpus:1;mem:512;disk:1024;ports:[31000-31009]"))
	s := clitest.New(t, c, onCassandra(t, server)...)
	began := time.Now()
	s.Start()
	s.AwaitReady(3)
	t.Log(time.Since(began))
	t.Log(s.Operate("status"))
}
