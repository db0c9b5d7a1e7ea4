package frameworks

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/offers"
	"github.com/mesokit/mesokit/scheduler"
)

// Options that a framework's own functions cannot bear are refused, and what
// panics while it asks the servers is what the node waits for.
func TestAPanicIsAnError(t *testing.T) {
	t.Parallel()
	type options struct{ Needs, Greeting string }
	s := OptionsOf[options]{
		Given: options{"cpus:0.1;mem:32", "hello"},
		Make: func(o options) (*Service, error) {
			return &Service{Name: "guarded", Binary: Binary{Path: "/bin/guarded"}, Pods: []Pod{{
				Name: "node", Count: 1, Needs: offers.MustParse(o.Needs),
				Task: func(Deployment, Node) (executor.Task, error) {
					return executor.Task{Command: []string{o.Greeting[:5]}}, nil
				},
			}}}, nil
		},
	}.Service()
	w := newWorld(t, s, 1, agentResources)
	w.until(time.Minute, "ready", w.allReady(1))
	for wrong, want := range map[string]string{
		`{"Needs": "cpus:many", "Greeting": "hello"}`:      "options: refused: panic: ",
		`{"Needs": "cpus:0.1;mem:32", "Greeting": "ciao"}`: "task of node-0: panic: runtime error: slice bounds out of range [:5] with length 4 (guarded_test.go:28)",
	} {
		_, err := w.command(Update{Options: json.RawMessage(wrong)})
		require.ErrorContains(t, err, want)
	}
	assert.Equal(t, 1, w.status().Ready)

	s.Pods[0].Ready = func(context.Context, Deployment, Node) error { panic("nobody thought of that") }
	_, err := s.Work(t.Context(), scheduler.Job{Kind: gateKind, Value: gateInput{luggage: &luggage{service: s}, Nodes: []Node{{Pod: "node"}}}})
	require.ErrorContains(t, err, "panic: nobody thought of that (guarded_test.go:")
}

func TestAFailureInOneLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                               "",
		"exited with status 1":           "exited with status 1",
		"exited; last lines:\n":          "exited",
		"exited; last lines:\na\n  b \n": "exited: b",
	} {
		assert.Equal(t, want, Failure{Text: text}.Line())
	}
}
