package model

import (
	"fmt"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosmaster "github.com/mesos/mesos-go/api/v1/lib/master"
)

func TestDrain(t *testing.T) {
	t.Parallel()
	for _, gone := range []bool{false, true} {
		t.Run(fmt.Sprintf("mark gone %t", gone), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			c := w.subscribe("*")
			o := c.offers()[0]
			c.accept(o, 0, launchOp(commandTask("t1", o.AgentID.Value, 1, 128)))
			w.settle()
			c.updates(true)
			w.settle()
			want(t, "reply", w.step(Operate{Drain{ID: o.AgentID.Value, MarkGone: gone}}).Status, 200)
			w.settle()
			us := c.updates(true)
			w.settle()
			state := "TASK_KILLED"
			if gone {
				state = "TASK_GONE_BY_OPERATOR"
			}
			want(t, "states", strings.Join(states(us, "t1"), " "), state)
			want(t, "reason", us[0].GetReason(), mesos.REASON_AGENT_DRAINING)
			w.sleep(5 * time.Second)
			want(t, "offers of a drained agent", len(c.offers()), 0)
			if gone {
				want(t, "agents", len(w.master.GetAgents().Agents), 0)
				return
			}
			want(t, "drained", w.master.GetAgents().Agents[0].DrainInfo.State, mesos.DrainState_DRAINED)
			w.operate(Deactivate{ID: o.AgentID.Value, On: true}, 200, "")
			w.sleep(time.Second)
			want(t, "offers when reactivated", len(c.offers()), 1)
		})
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	var seen []string
	watch := func(in Input) {
		for _, out := range w.master.Step(w.now, in) {
			switch out := out.(type) {
			case Observed:
				seen = append(seen, out.Event.Type.String())
			case Emit:
				w.streams[out.Stream] = append(w.streams[out.Stream], out.Event)
			}
		}
	}
	watch(Watch{On: true})
	w.subscribe("*") // by the world, which does not look at what is observed
	seen = nil
	watch(StreamClosed{Stream: "/*/1"})
	watch(Operate{MarkGone{ID: "M0-S0"}}) // of which Mesos does not tell those who watch
	watch(AgentSaid{From: w.agents[1].link, Message: Unregister{}})
	want(t, "events", strings.Join(seen, " "), strings.Join([]string{
		mesosmaster.Event_FRAMEWORK_UPDATED.String(), mesosmaster.Event_AGENT_REMOVED.String()}, " "))
	want(t, "metrics", w.master.Metrics()["master/slaves_active"], 0.0)
}
