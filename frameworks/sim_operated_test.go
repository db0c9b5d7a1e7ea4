package frameworks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/simtest"
	"github.com/mesokit/mesokit/offers"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// operated is a service made of options, which its operators use in every way
// that there is.
type operated struct {
	*frameworks.Service
	number uint64
	less   int
	ends   bool // it is uninstalled in the end
	// framework is the one that runs it, in the simulation.
	framework string
	worker    scheduler.Worker
}

// operatedOptions are what its operators may choose.
type operatedOptions struct {
	Version int `json:"version"`
	CPUs    int `json:"cpus"`
	Size    int `json:"size"`
	More    int `json:"more"` // nodes of each pod, more than the number makes
	// Log is the size of a second volume and Admin whether there is a second port,
	// which no node has at first.
	Log   int  `json:"log"`
	Admin bool `json:"admin"`
	// Bad is what is wrong with the version: "dies", "hangs", or nothing.
	Bad string `json:"bad"` // always said: what an update leaves out stays
}

func (o operatedOptions) json() json.RawMessage {
	text, _ := json.Marshal(o)
	return text
}

var firstOptions = operatedOptions{CPUs: 1, Size: 1000}

// operate makes services of random declarations, one for each number.
func operate(name string, number uint64, less int) operated {
	first, err := operatedOf(name, number, less, firstOptions)
	if err != nil {
		panic(err)
	}
	first.Options = firstOptions.json()
	first.Revise = func(options json.RawMessage) (*frameworks.Service, error) {
		var o operatedOptions
		if err := json.Unmarshal(options, &o); err != nil {
			return nil, err
		}
		return operatedOf(name, number, less, o)
	}
	return operated{Service: first, number: number, less: less, ends: number%4 == 3, framework: name, worker: first}
}

func operatedOf(name string, number uint64, less int, o operatedOptions) (*frameworks.Service, error) {
	if o.CPUs < 1 || o.Size < 1 || o.More < 0 {
		return nil, errors.New("wants cpus, a size and not less than 0 more")
	}
	random := rand.New(rand.NewPCG(number, 1))
	s := &frameworks.Service{Name: name, Binary: frameworks.Binary{Path: "/bin/" + name}, Recheck: time.Hour}
	for i := range 1 + random.IntN(3) {
		p := operatedPod(random, i, o)
		if i > 0 && random.IntN(2) == 0 {
			p.After = []string{s.Pods[random.IntN(i)].Name}
		}
		fewer := min(less, p.Count)
		p.Count, less = p.Count-fewer+o.More, less-fewer
		s.Pods = append(s.Pods, p)
	}
	special(s, number)
	ruled(s, number)
	if random.IntN(2) == 0 {
		s.Routines = []frameworks.Routine{leaders(s.Pods[0].Name)}
	}
	if random.IntN(2) == 0 {
		s.Plans = []frameworks.Plan{backups(random)}
	}
	return s, nil
}

// special gives the services of some numbers what they do not all have: those of
// the others stay as they were when something was found with them.
func special(s *frameworks.Service, number uint64) {
	if number%5 != 0 && number%5 != 4 {
		return
	}
	random := rand.New(rand.NewPCG(number, 2))
	for i := range s.Pods {
		p := &s.Pods[i]
		p.Rollout.Patience = []time.Duration{0, time.Minute, 30 * time.Minute}[random.IntN(3)]
		if i == 0 {
			continue // routines and plans are of a pod that serves
		}
		if random.IntN(2) == 0 {
			p.Everywhere, p.Count, p.Together = true, 0, false
		}
		if random.IntN(2) == 0 {
			p.Aim = []frameworks.Aim{frameworks.AimFinish, frameworks.AimOnce}[random.IntN(2)]
			p.Ready, p.Leave, p.Spare = nil, nil, nil
		}
	}
}

// ruled gives the services of other numbers rules of where their nodes may be.
func ruled(s *frameworks.Service, number uint64) {
	if number%5 != 1 && number%5 != 3 {
		return
	}
	random := rand.New(rand.NewPCG(number, 3))
	for i := range s.Pods {
		s.Pods[i].Place = constraints.MustParse([]string{
			"rack:GROUP_BY:3", "rack:MAX_PER:2", "rack:CLUSTER", "hostname:LIKE:agent-[0-4]", "rack:IS_NOT:r0", "hostname:MAX_PER:1,rack:GROUP_BY:3",
		}[random.IntN(6)])
	}
}

func operatedPod(random *rand.Rand, i int, o operatedOptions) frameworks.Pod {
	chance := func(of int) bool { return random.IntN(of) == 0 }
	p := frameworks.Pod{
		Name: []string{"node", "aux", "web"}[i], Count: 1 + random.IntN(3), Together: chance(2), Serial: chance(3),
		Needs:    offers.MustParse(fmt.Sprintf("cpus:%d;mem:512", o.CPUs)),
		Ports:    []frameworks.Port{{Name: "peer"}}[:random.IntN(2)],
		Recovery: frameworks.Recovery{After: []time.Duration{0, 2 * time.Minute, 20 * time.Minute}[random.IntN(3)], Most: random.IntN(3), Gap: time.Minute, Stay: chance(4)},
		Rollout: frameworks.Rollout{
			Parallel: random.IntN(3), Canary: random.IntN(2), Failures: random.IntN(4), Rollback: chance(2),
		},
	}
	switch p.Count {
	case 2:
		p.Rollout.Percents, p.Rollout.Pause = []int{50}, i == 1
	case 3:
		p.Rollout.By = "rack"
	}
	if !chance(3) {
		p.Volumes = []frameworks.Volume{{Name: "data", Path: "data", Size: offers.AmountOf(float64(o.Size))}}
	}
	if o.Log > 0 {
		p.Volumes = append(p.Volumes, frameworks.Volume{Name: "log", Path: "log", Size: offers.AmountOf(float64(o.Log))})
	}
	if o.Admin {
		p.Ports = append(p.Ports[:len(p.Ports):len(p.Ports)], frameworks.Port{Name: "admin"})
	}
	if chance(2) {
		p.Place = constraints.MustParse("hostname:UNIQUE")
	}
	pass := func(context.Context, frameworks.Deployment, frameworks.Node) error { return nil }
	if chance(2) || o.Bad == "hangs" {
		p.Ready = pass
	}
	if chance(3) {
		p.Join = othersReady
	}
	if chance(2) {
		p.Leave = pass
	}
	if chance(2) {
		p.Spare = spareOne
	}
	if chance(4) {
		p.Replaceable = func(_ frameworks.Deployment, n frameworks.Node) error {
			if n.Arrived > 0 {
				return errors.New("nobody else has its data")
			}
			return nil
		}
	}
	command := []string{"serve", fmt.Sprint("v", o.Version), o.Bad}
	if chance(2) {
		p.Command = strings.Join(command, " ")
	} else {
		p.Task = func(frameworks.Deployment, frameworks.Node) (executor.Task, error) {
			return executor.Task{Command: command}, nil
		}
	}
	return p
}

// othersReady lets a node join while nobody else of its pod joins or leaves.
func othersReady(_ context.Context, d frameworks.Deployment, n frameworks.Node) error {
	for _, other := range d.Pod(n.Pod) {
		if phase := d.Phase(other.Name); other.Name != n.Name && (phase == frameworks.Launched || phase == frameworks.Started) {
			return fmt.Errorf("%s is %s", other.Name, phase)
		}
	}
	return nil
}

// spareOne lets one node of a pod go at a time, while it has another that serves.
func spareOne(_ context.Context, d frameworks.Deployment, nodes []frameworks.Node) error {
	if len(nodes) > 1 {
		return errors.New("one is enough")
	}
	for _, other := range d.Pod(nodes[0].Pod) {
		if other.Name != nodes[0].Name && !other.Ready {
			return fmt.Errorf("%s does not serve", other.Name)
		}
	}
	return nil
}

// leading is what a routine remembers: who leads.
type leading struct {
	Leader string `json:"leader,omitempty"`
	Terms  int    `json:"terms,omitempty"`
}

// leaders is a routine that has one node of a pod lead, and fences it before
// another may.
func leaders(pod string) frameworks.Routine {
	return frameworks.RoutineOf[leading, int]{
		Name: "leaders",
		Look: func(context.Context, frameworks.Deployment, leading) (int, error) { return 0, nil },
		Decide: func(now time.Time, d frameworks.Deployment, m leading, _ frameworks.News[int]) (leading, []frameworks.Order) {
			leader, known := d.Node(m.Leader)
			if known && leader.Ready && !leader.Fenced {
				return m, nil
			}
			var orders []frameworks.Order
			if known && !leader.Harmless(now) {
				return m, []frameworks.Order{frameworks.Fence{Node: leader.Name}}
			}
			if known {
				orders = append(orders, frameworks.Allow{Node: leader.Name}, frameworks.Name{Node: leader.Name})
			}
			m.Leader = ""
			for _, n := range d.Pod(pod) {
				if n.Ready && !n.Fenced && n.Goal == frameworks.GoalRun {
					m = leading{Leader: n.Name, Terms: m.Terms + 1}
					return m, append(orders, frameworks.Name{Node: n.Name, Role: "leader"}, frameworks.Do{Name: "promote", Node: n.Name})
				}
			}
			return m, orders
		},
		Work: func(context.Context, frameworks.Deployment, leading, frameworks.Do) (string, error) {
			return "leads", nil
		},
	}.Routine()
}

// backups is a plan with a step for each node that there is.
func backups(random *rand.Rand) frameworks.Plan {
	return frameworks.PlanOf[struct{}]{
		Name: "backup", Schedule: []string{"", "*/7 * * * *"}[random.IntN(2)],
		Layout: func(d frameworks.Deployment, _ struct{}) ([]frameworks.Stage, error) {
			stage := frameworks.Stage{Name: "save", Parallel: 2}
			for _, n := range d.Nodes {
				if n.Place != nil {
					stage.Steps = append(stage.Steps, frameworks.Step{Name: n.Name, Nodes: []string{n.Name}, Timeout: time.Minute})
				}
			}
			return []frameworks.Stage{stage, {Name: "check", After: []string{"save"}, Steps: []frameworks.Step{{Name: "all", Timeout: time.Minute}}}}, nil
		},
		Work: func(context.Context, frameworks.Deployment, struct{}, frameworks.Step) (string, error) {
			return "saved", nil
		},
	}.Plan()
}

func (s operated) simulated() mesostest.SimFramework {
	return mesostest.SimFramework{
		Name: s.Name, Handler: s.Service, Goal: s.goal, Work: s.work, Operator: s.command, Settle: s.settle, Decision: s.decision,
		Node: serviceNode, Task: s.task,
		Smaller: func() (mesostest.SimFramework, bool) {
			nodes := 0
			for _, p := range s.Pods {
				nodes += p.Count
			}
			return operate(s.Name, s.number, s.less+1).simulated(), nodes > 1
		},
	}
}

// serviceNode is what a task is an incarnation of, such as "db.node-0".
func serviceNode(task mesos.TaskInfo) string {
	return task.TaskID.Value[:strings.LastIndexByte(task.TaskID.Value, '.')]
}

// is says whether a task is of a bad version.
func is(task mesos.TaskInfo, bad string) bool {
	return strings.Contains(string(task.Data)+task.Command.GetValue(), bad)
}

func (s operated) task(task mesos.TaskInfo, luck uint64) mesostest.TaskPlan {
	p := mesostest.TaskPlan{Start: time.Duration(luck%4000) * time.Millisecond, Stop: time.Duration(luck%900) * time.Millisecond}
	if s.number%5 == 1 || s.number%5 == 3 {
		p.Ready, p.Sick, p.Well = time.Second, time.Duration(10+luck%90)*time.Second, time.Duration(1+luck%40)*time.Second
	}
	switch {
	case is(task, "dies"):
		p.Run, p.End = time.Second, mesos.TASK_FAILED
	case s.aim(task) != frameworks.AimRun:
		p.Run = time.Duration(1+luck%120) * time.Second
	}
	return p
}

// aim is that of the pod whose task it is.
func (s operated) aim(task mesos.TaskInfo) frameworks.Aim {
	node := strings.Split(task.TaskID.Value, ".")[1]
	i := slices.IndexFunc(s.Pods, func(p frameworks.Pod) bool { return strings.HasPrefix(node, p.Name+"-") })
	return s.Pods[i].Aim
}

func (s operated) decision(v scheduler.View, ev scheduler.Event, actions []scheduler.Action) error {
	return simtest.Decision(s.Service, v, ev, actions)
}

// work asks a gate, which passes while the task that it is about runs, and is of
// a version that can.
func (s operated) work(w *mesostest.World, job scheduler.Job) ([]byte, error) {
	kind, name, _ := strings.Cut(job.Name, "/")
	if kind == "gate" {
		i := slices.IndexFunc(w.Running(), func(t mesostest.SimTask) bool {
			return t.Framework == s.framework && t.Info.TaskID.Value == name && !t.Sick && !is(t.Info, "hangs")
		})
		if i < 0 {
			return nil, fmt.Errorf("%s does not serve", name)
		}
	}
	return s.worker.Work(context.Background(), job)
}

// command makes one of every command that there is.
func (s operated) command(pick uint16) any {
	random := rand.New(rand.NewPCG(uint64(pick), s.number))
	pod := s.Pods[random.IntN(len(s.Pods))]
	node := fmt.Sprintf("%s-%d", pod.Name, random.IntN(pod.Count+2))
	force := random.IntN(2) == 0
	plan := []string{"deploy", "update", "recovery", "leave", "backup"}[random.IntN(5)]
	stage := pod.Name
	if plan == "backup" {
		stage = "save"
	}
	switch random.IntN(18) {
	case 0, 1:
		return frameworks.RestartNode{Node: node, Force: force}
	case 2:
		return frameworks.ReplaceNode{Node: node, Force: force}
	case 3:
		return frameworks.StopNode{Node: node}
	case 4:
		return frameworks.StartNode{Node: node}
	case 5:
		return frameworks.ScalePod{Pod: pod.Name, Count: random.IntN(5), Force: force}
	case 6:
		return frameworks.RemoveNode{Node: node, Force: force}
	case 7, 8:
		return frameworks.Update{Options: goodOptions(random).json(), Shrink: force}
	case 9, 10:
		o := goodOptions(random)
		o.Bad = []string{"dies", "hangs"}[random.IntN(2)]
		return frameworks.Update{Options: o.json()}
	case 11:
		return frameworks.Rollback{}
	case 12:
		return frameworks.PausePlan{Plan: plan}
	case 13:
		return frameworks.ResumePlan{Plan: plan}
	case 14:
		if plan == "deploy" || force {
			return frameworks.SkipStep{Plan: plan, Stage: stage, Step: node}
		}
		return frameworks.ForceStep{Plan: plan, Stage: stage, Step: node}
	case 15:
		return frameworks.RestartStep{Plan: plan, Stage: stage, Step: node}
	case 16:
		if force {
			return frameworks.SchedulePlan{Plan: "backup", Cron: []string{"", "*/3 * * * *"}[random.IntN(2)]}
		}
		return frameworks.StartPlan{Plan: "backup"}
	}
	if s.ends && force {
		return frameworks.Uninstall{}
	}
	return frameworks.CancelPlan{Plan: "backup"}
}

func goodOptions(random *rand.Rand) operatedOptions {
	return operatedOptions{
		Version: random.IntN(1000), CPUs: 1 + random.IntN(2), Size: 1000 + 500*random.IntN(3), More: random.IntN(2),
		Log: 200 * random.IntN(3), Admin: random.IntN(2) == 0,
	}
}
