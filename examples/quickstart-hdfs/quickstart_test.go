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
	disttest.HDFS(t)
	run := quickstarttest.Once(t)
	assert.Equal(t, fmt.Sprintf("acknowledged=%[1]d read=%[1]d lost=0", count), run.Lines[len(run.Lines)-1])
	run.InOrder("journal-0  journal prepared", "name-0  namespace formatted", "name-0  ready", "name-1  namespace copied from name-0", "name-1  ready",
		"data-0  started pid", "data-0  ready", "writing", "kill -9", "files acknowledged", "is back, still on agent 127.", "acknowledged=")
}
