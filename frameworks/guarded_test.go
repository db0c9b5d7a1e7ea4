package frameworks

import (
	"context"
	"encoding/json"
	"strings"
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
		`{"Needs": "cpus:0.1;mem:32", "Greeting": "ciao"}`: "task of node-0: panic: runtime error: slice bounds out of range [:5] with length 4 (guarded_test.go:29)",
	} {
		_, err := w.command(Update{Options: json.RawMessage(wrong)})
		require.ErrorContains(t, err, want)
	}
	assert.Equal(t, 1, w.status().Ready)

	s.Pods[0].Ready = func(context.Context, Deployment, Node) error { panic("nobody thought of that") }
	_, err := s.Work(t.Context(), scheduler.Job{Kind: gateKind, Value: gateInput{luggage: &luggage{service: s}, Nodes: []Node{{Pod: "node"}}}})
	require.ErrorContains(t, err, "panic: nobody thought of that (guarded_test.go:")
}

// What a framework says of nodes and options, and of the order of a rollout, may
// panic as well: then the command is refused, the rollout pauses, the routine is in
// trouble, and the scheduler goes on.
func TestAPanicOfTheDomainIsAnError(t *testing.T) {
	t.Parallel()
	s := versionedService(3)
	wrong := false
	must := func() {
		if wrong {
			panic("nobody thought of that")
		}
	}
	p := &s.Pods[0]
	p.Removable = func(Deployment, []Node) error { must(); return nil }
	p.Addable = func(Deployment, int) error { must(); return nil }
	p.Replaceable = func(Deployment, Node) error { must(); return nil }
	p.Essence = func(t executor.Task) executor.Task { must(); return t }
	p.Rollout.Order = func(_ Deployment, nodes []Node) []Node { panic("who goes first?") }
	s.Routines = []Routine{RoutineOf[int, int]{
		Name: "counts",
		Look: func(context.Context, Deployment, int) (int, error) { return 0, nil },
		Decide: func(_ time.Time, _ Deployment, m int, _ News[int]) (int, []Order) {
			must()
			return m + 1, nil
		},
	}.Routine()}
	s.Options, s.Revise = json.RawMessage("1"), func(options json.RawMessage) (*Service, error) {
		next := *s
		next.Options = options
		return &next, nil
	}
	s.Change = func(Deployment, json.RawMessage, json.RawMessage) error { must(); return nil }
	w := newWorld(t, s, 3, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	wrong = true
	for _, c := range []any{
		RemoveNode{Node: "node-0"}, ScalePod{Pod: "node", Count: 4}, ReplaceNode{Node: "node-0"}, Update{Options: json.RawMessage("2")},
	} {
		_, err := w.command(c)
		require.ErrorIs(t, err, ErrRefused)
		require.ErrorContains(t, err, "panic: nobody thought of that (guarded_test.go:", "%T", c)
	}
	w.until(time.Minute, "the routine says so", func() bool { return strings.HasPrefix(w.status().Routines[0].Trouble, "panic: ") })
	w.crash()
	w.until(time.Minute, "the essence says so", func() bool {
		return strings.HasPrefix(w.status().Nodes[0].Progress, "cannot be rendered")
	})
	assert.Equal(t, 3, w.status().Ready)

	wrong = false
	w.until(time.Minute, "the routine decides again", func() bool { return w.status().Routines[0].Trouble == "" })
	w.configure(version("2"))
	w.until(time.Minute, "the rollout is paused", func() bool {
		return strings.HasPrefix(w.pod().Rollout.Paused, "Rollout.Order: panic: who goes first? (guarded_test.go:")
	})
	w.pass(time.Hour)
	assert.Equal(t, []int{1, 1, 1}, w.incarnations())
	w.configure(func(p *Pod) { p.Rollout.Order = nil })
	w.do(ResumePlan{Plan: "update"})
	w.until(10*time.Minute, "it goes on", w.updated(3))
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
