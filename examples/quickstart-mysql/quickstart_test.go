package main

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/mesokit/mesokit/examples/internal/quickstart/quickstarttest"
	"github.com/mesokit/mesokit/internal/dist/disttest"
)

func TestMain(m *testing.M) { quickstarttest.Main(m, main) }

// Each flavor fails over with nothing lost.
func TestOnce(t *testing.T) {
	for flavor, obtain := range map[string]func(testing.TB){
		"mysql":   func(t testing.TB) { disttest.MySQL(t) },
		"mariadb": func(t testing.TB) { disttest.MariaDB(t) },
	} {
		t.Run(flavor, func(t *testing.T) {
			obtain(t)
			t.Setenv("FLAVOR", flavor)
			run := quickstarttest.Once(t)
			assert.Equal(t, fmt.Sprintf("acknowledged=%[1]d read=%[1]d lost=0", count), run.Lines[len(run.Lines)-1])
			run.InOrder("member-0  initialised", "member-0  lease granted", "member-0  started pid", "named  role=primary",
				"writing", "kill -9", "failover: ", "named  role=primary", "rows acknowledged", "acknowledged=")
		})
	}
}
