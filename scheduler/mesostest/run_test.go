package mesostest

import (
	"fmt"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/scheduler"
)

func TestRunReplacesTaskOfLostAgent(t *testing.T) {
	t.Parallel()
	c := New(t, Agents(2, "cpus:1;mem:256;disk:256"))
	c.Run(t, scheduler.HandlerFunc(keepOne))
	c.WaitRunning(t, 1)
	first := c.Tasks()[0]
	for _, a := range c.Agents() {
		if a.ID() == first.AgentID {
			a.Stop()
		}
	}
	c.WaitTask(t, "one.2", mesos.TASK_RUNNING)
	if x, _ := c.Task("one.2"); x.AgentID == first.AgentID {
		t.Errorf("one.2 runs on %s, which is gone", x.AgentID)
	}
}

// keepOne keeps one task running, wherever there is room.
func keepOne(v scheduler.View, _ scheduler.Event) []scheduler.Action {
	n := 0
	for task := range v.Tasks() {
		n++
		switch s := task.Status.GetState(); {
		case s == mesos.TASK_UNREACHABLE || scheduler.Terminal(s):
		default:
			return nil
		}
	}
	for offer := range v.Offers() {
		id := fmt.Sprintf("one.%d", n+1)
		return []scheduler.Action{scheduler.Want{Offers: true, Key: id}, scheduler.Accept{
			Offers: []mesos.OfferID{offer.ID},
			Operations: []mesos.Offer_Operation{{Type: mesos.Offer_Operation_LAUNCH, Launch: &mesos.Offer_Operation_Launch{
				TaskInfos: []mesos.TaskInfo{{
					Name: id, TaskID: mesos.TaskID{Value: id}, AgentID: offer.AgentID,
					Command: &mesos.CommandInfo{Value: new("sleep 600")}, Resources: offer.Resources,
				}},
			}}},
		}}
	}
	return []scheduler.Action{scheduler.Want{Offers: true, Key: fmt.Sprintf("one.%d", n+1)}}
}
