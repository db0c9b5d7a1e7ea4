package main

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/mesokit/mesokit/examples/internal/quickstart/quickstarttest"
	"github.com/mesokit/mesokit/internal/dist/disttest"
)

func TestMain(m *testing.M) { quickstarttest.Main(m, main) }

func TestOnce(t *testing.T) {
	disttest.Cassandra(t)
	run := quickstarttest.Once(t)
	assert.Equal(t, fmt.Sprintf("acknowledged=%[1]d read=%[1]d lost=0", count), run.Lines[len(run.Lines)-1])
	for _, node := range []string{"node-0", "node-1", "node-2"} {
		run.InOrder(node+"  reserved", node+"  launched", node+"  prepared", node+"  started pid", node+"  ready", "writing")
	}
	run.InOrder("node-0  ready", "node-1  launched", "node-1  ready", "node-2  launched") // one joins after the other
	run.InOrder("writing", "kill -9", "node-1  failed  state=TASK_FAILED  message=server was ended by SIGKILL",
		"node-1  launched", "node-1  own data found", "node-1  ready", "node-1 is back, still on agent 127.", "acknowledged=")
}
