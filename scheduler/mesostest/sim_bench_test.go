package mesostest

import (
	"fmt"
	"strconv"
	"syscall"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/offers"
	"github.com/mesokit/mesokit/scheduler"
)

// BenchmarkSim steps three services of ten nodes each on fifty agents, with all
// faults and all rules. A step is an input taken by a scheduler, a master or an
// agent. The services of the first keep tasks, in the ids of which is all that
// they know; those of the second keep volumes, and records in JSON. Two thirds of
// the time are the master's, mostly for who gets which offer, a seventh the
// schedulers' with their handlers; the rules take about three percent.
func BenchmarkSim(b *testing.B) {
	b.Run("tasks", func(b *testing.B) {
		benchmarkSim(b, func(name string) SimFramework { return keeperFramework(keeper{name: name, tasks: 10}) })
	})
	b.Run("volumes", func(b *testing.B) {
		benchmarkSim(b, func(name string) SimFramework { return ringFramework(ring{name: name, nodes: 10}) })
	})
}

func benchmarkSim(b *testing.B, service func(name string) SimFramework) {
	c := SimConfig{Shrink: -1}
	for _, name := range []string{"a", "b", "c"} {
		c.Frameworks = append(c.Frameworks, service(name))
	}
	for i := range 50 {
		c.Agents = append(c.Agents, AgentConfig{
			Resources: "cpus:16;mem:65536;disk:100000000;ports:[31000-31999]", Attributes: fmt.Sprintf("rack:r%d", i%5),
		})
	}
	var all Coverage
	seed := uint64(0)
	b.ReportAllocs()
	before := cpuTime(b)
	for b.Loop() {
		s := NewSim(seed, c)
		seed++
		if err := s.Run(); err != nil {
			b.Fatal(err)
		}
		all.Add(s.Coverage())
	}
	b.ReportMetric(float64(all.Steps)/b.Elapsed().Seconds(), "steps/s")
	b.ReportMetric(float64(all.Steps)/(cpuTime(b)-before).Seconds(), "steps/cpu-s") // the same on a busy machine
	b.ReportMetric(float64(all.Scheduler)/b.Elapsed().Seconds(), "decisions/s")
}

// cpuTime is what this process has used, with the collection of its garbage.
func cpuTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// keeper is a policy that keeps so many tasks running, whichever they are.
type keeper struct {
	name  string
	tasks int
}

func (k keeper) Framework() mesos.FrameworkInfo {
	return mesos.FrameworkInfo{Name: k.name, Roles: []string{k.name}}
}

func (k keeper) Handle(v scheduler.View, _ scheduler.Event) []scheduler.Action {
	var actions []scheduler.Action
	live, last := 0, 0
	for t := range v.Tasks() {
		id := t.Info.TaskID.Value
		if n, err := strconv.Atoi(id[len(k.name)+1:]); err == nil {
			last = max(last, n)
		}
		if s := t.Status.GetState(); !scheduler.Terminal(s) && s != mesos.TASK_UNREACHABLE {
			live++
		}
	}
	for o := range v.Offers() {
		if live >= k.tasks {
			break
		}
		if _, _, fits := offers.Take(o.Resources, offers.MustParse("cpus:1;mem:64")); !fits {
			continue
		}
		live, last = live+1, last+1
		actions = append(actions, scheduler.Accept{Offers: []mesos.OfferID{o.ID}, Operations: []mesos.Offer_Operation{
			offers.Launch(o.AgentID.Value, k.task(last, o)),
		}})
	}
	return append(actions, scheduler.Want{Offers: live < k.tasks, Key: strconv.Itoa(last)})
}

func (k keeper) task(number int, o *mesos.Offer) mesos.TaskInfo {
	share := func(name string, amount float64) mesos.Resource {
		return mesos.Resource{
			Name: name, Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: amount}, AllocationInfo: o.AllocationInfo,
		}
	}
	return mesos.TaskInfo{
		Name: k.name, TaskID: mesos.TaskID{Value: fmt.Sprintf("%s.%06d", k.name, number)},
		Resources: []mesos.Resource{share("cpus", 1), share("mem", 64)}, Command: &mesos.CommandInfo{Value: new("serve")},
	}
}

func keeperFramework(k keeper) SimFramework {
	return SimFramework{Name: k.name, Handler: k, Goal: func(v scheduler.View, _ *World) error {
		running := 0
		for t := range v.Tasks() {
			if t.Status.GetState() == mesos.TASK_RUNNING {
				running++
			}
		}
		if running < k.tasks {
			return fmt.Errorf("%d of %d tasks run", running, k.tasks)
		}
		return nil
	}}
}

func TestSimKeeper(t *testing.T) {
	t.Parallel()
	c := SimConfig{Frameworks: []SimFramework{keeperFramework(keeper{"a", 4}), keeperFramework(keeper{"b", 4})}}
	for seed := range uint64(5) {
		requireSound(t, NewSim(seed, c))
	}
}
