package scheduler_test

import (
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// chooser says what an operator tells it to say, and takes nothing.
type chooser struct{ first []scheduler.Action }

func (c chooser) Handle(v scheduler.View, ev scheduler.Event) []scheduler.Action {
	switch ev := ev.(type) {
	case scheduler.Tick:
		if !v.Connected() {
			return c.first
		}
	case scheduler.Command:
		return append(ev.Value.([]scheduler.Action), scheduler.Answer{Command: ev.ID})
	}
	return nil
}

func onRack(rack string) []constraints.Group {
	return []constraints.Group{{{
		Selector: constraints.Selector{Name: "rack"}, Predicate: constraints.TextEquals{Value: rack},
	}}}
}

// TestClusterOffersWhatIsWanted holds that the master gets the constraints with
// the subscription and again when they change, and that roles come and go.
func TestClusterOffersWhatIsWanted(t *testing.T) {
	t.Parallel()
	cluster := mesostest.New(t, mesostest.Agents(2, "cpus:4;mem:2048", "rack:r1"), mesostest.Agents(2, "cpus:4;mem:2048", "rack:r2"))
	offered := make(chan mesos.Offer, 1024)
	box := &scheduler.Mailbox{}
	start(t, scheduler.Config{
		Master: cluster.Master(), Mailbox: box, Framework: mesos.FrameworkInfo{Roles: []string{"a"}},
		Handler: chooser{[]scheduler.Action{scheduler.Want{Offers: true, Key: "k", Only: onRack("r1")}}},
		Observe: func(ev scheduler.Event, _ scheduler.Effects) {
			if ev, ok := ev.(scheduler.Offered); ok {
				for _, o := range ev.Offers {
					offered <- o
				}
			}
		},
	})
	// next waits for an offer from each of n agents, all of one rack and role.
	next := func(n int, rack, role string) {
		t.Helper()
		agents := map[string]bool{}
		for o := range offered {
			require.Equal(t, rack, o.Attributes[0].GetText().Value)
			require.Equal(t, role, o.AllocationInfo.GetRole())
			agents[o.AgentID.Value] = true
			if len(agents) == n {
				return
			}
		}
	}
	tell := func(actions ...scheduler.Action) {
		t.Helper()
		_, err := box.Send(t.Context(), actions)
		require.NoError(t, err)
	}
	next(2, "r1", "a")
	tell(scheduler.Want{Offers: true, Key: "k", Only: onRack("r2")})
	next(2, "r2", "a")
	tell(scheduler.Register{Framework: mesos.FrameworkInfo{Roles: []string{"a", "b"}}},
		scheduler.Want{Role: "a"}, scheduler.Want{Role: "b", Offers: true, Only: onRack("r1")})
	next(2, "r1", "b")

	require.NoError(t, cluster.RestartMaster())
	next(2, "r1", "b")
}
