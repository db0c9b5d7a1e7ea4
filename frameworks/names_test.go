package frameworks

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/scheduler"
)

// post is a mailbox of a world.
type post struct{ *world }

func (p post) Send(_ context.Context, command any) (any, error) { return p.send(command) }

// Stages and steps may be called anything: tables, paths, ranges.
func TestStepsMayHaveAnyName(t *testing.T) {
	t.Parallel()
	names := []string{"db/users", "100%", "a b?c#d", "größe", "x/%2F/y"}
	var began []string
	w := newPlans(t, 1, PlanOf[struct{}]{
		Name: "copy",
		Layout: func(Deployment, struct{}) ([]Stage, error) {
			stage := Stage{Name: "tables/of all"}
			for _, name := range names {
				stage.Steps = append(stage.Steps, Step{Name: name})
			}
			return []Stage{stage}, nil
		},
		Work: func(_ context.Context, _ Deployment, _ struct{}, step Step) (string, error) {
			began = append(began, step.Name)
			return "", nil
		},
	}.Plan())
	w.until(time.Minute, "ready", w.allReady(1))
	server := httptest.NewServer(newAPI(post{w}))
	defer server.Close()
	client := Client{URL: server.URL}
	w.do(StartPlan{Plan: "copy"})
	w.do(PausePlan{Plan: "copy"})
	for _, skipped := range names[1:4] {
		_, err := client.SkipStep(t.Context(), "copy", "tables/of all", skipped)
		require.NoError(t, err, skipped)
	}
	w.do(ResumePlan{Plan: "copy"})
	w.until(10*time.Minute, "complete", w.hasRun("copy", 1))
	assert.Equal(t, []string{names[0], names[4]}, began)
	assert.Equal(t, []string{"tables/of all/100%", "tables/of all/a b?c#d", "tables/of all/größe"}, w.plan("copy").History[0].Overridden)
}

// What New returned stays as it is, however often it returns the same.
func TestAnAddedServiceIsACopy(t *testing.T) {
	t.Parallel()
	made := named("beta", 1)
	several := &Services{Declared: []*Service{named("alpha", 1)}, New: func(string, json.RawMessage) (*Service, error) { return made, nil }}
	got, err := several.fromOptions("beta", json.RawMessage(`{"n":1}`))
	require.NoError(t, err)
	assert.NotSame(t, made, got)
	assert.JSONEq(t, `{"n":1}`, string(got.Options))
	assert.Empty(t, made.Options)
	assert.Nil(t, made.Revise)
}

// Gates are told that Mesos is about to stop a node.
func TestGatesKnowOfADrain(t *testing.T) {
	t.Parallel()
	s := quorum(3)
	s.Recheck = time.Second
	w := newWorld(t, s, 3, agentResources)
	stopping := ""
	w.gate = func(job scheduler.Job) error {
		if in, ok := job.Value.(gateInput); ok && in.Nodes[0].Name == "node-1" {
			stopping = in.unpack().Stopping("node-0")
		}
		return nil
	}
	w.until(time.Minute, "ready", w.allReady(3))
	assert.Empty(t, stopping)
	w.each(func(e *fakeExecutor) {
		if e.id == "db.node-0.1" {
			w.update(e, e.id, mesos.TASK_KILLING, "")
		}
	})
	w.until(time.Minute, "it is told", func() bool { return stopping == "drain" })
}
