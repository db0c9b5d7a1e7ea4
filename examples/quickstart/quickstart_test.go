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
	disttest.Kafka(t)
	run := quickstarttest.Once(t)
	assert.Equal(t, fmt.Sprintf("acknowledged=%[1]d read=%[1]d lost=0", count), run.Lines[len(run.Lines)-1])
	for broker := range brokers {
		name := fmt.Sprintf("broker-%d", broker)
		run.InOrder(name+"  reserved", name+"  launched", name+"  formatted", name+"  started pid", name+"  ready", "producing")
	}
	run.InOrder("producing", "kill -9", "broker-1  failed  state=TASK_FAILED  message=server was ended by SIGKILL",
		"broker-1  launched", "broker-1  already formatted", "broker-1  ready", "broker-1 is back, still on agent 127.", "acknowledged=")
}
