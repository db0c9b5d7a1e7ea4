package mesostest

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// FaultKind is one way in which the world of a [Sim] misbehaves.
type FaultKind int

// The kinds of fault. Pick, a number, says which one of several is meant: the
// agent, the framework, how long, how many bytes.
const (
	// Between agents and the master. Statuses are repeated by the agent until
	// they are acknowledged, so that each of them may be lost alone.

	UpdateLost       FaultKind = iota // the next status of a task does not arrive
	UpdateLate                        // it arrives up to a minute later, after others
	UpdateTwice                       // it arrives twice
	UpdateSwapped                     // it arrives after the next one, whosoever that is
	OperationLost                     // the next status of an operation does not arrive
	OperationFails                    // the agent cannot carry out the next reservation or volume, says so, and registers again
	LinkBroken                        // an agent's connection breaks, with all that is on its way
	LaunchLost                        // it breaks while a launch is on its way
	ApplyLost                         // it breaks while a reservation or a volume is
	AgentCut                          // an agent is cut off, and nobody is told
	AgentHealed                       // the oldest cut ends
	AgentRestarted                    // an agent's process dies and comes back to what it ran
	AgentRebooted                     // the machine goes down and comes back with its disk
	AgentWiped                        // it comes back empty, as another agent
	AgentGone                         // it never comes back, and another joins; the operator says so
	AgentDrained                      // an operator drains it, and later takes it back
	AgentMaintained                   // an operator announces, begins and ends maintenance
	AgentDeactivated                  // its offers are rescinded, and it is offered again soon

	// Between the scheduler and the master.

	StreamCut    // the stream breaks at any byte of a frame
	StreamSilent // the stream says nothing more and does not end
	EventsLate   // events arrive up to half a minute late: stale offers
	CallsLate    // so do calls: a rescind crosses an accept
	CallLost     // the next call does not arrive, however often it is tried, or its answer does not

	// Of the master.

	MasterFailover    // the leader dies and another is elected
	RegistryUnwritten // it dies at a write to the registry that is not durable
	RegistryUntold    // it dies at one that is, before anybody hears of it

	// Of the scheduler.

	Crash     // it dies before or after one of its next effects
	SaveSlow  // the next save takes up to a minute
	SaveFails // the next save fails, and may be durable all the same
	Standby   // another instance takes over while this one lives
	ClockStep // it starts again after its clock was set, by up to an hour; while it runs its clock is monotonic
	JobFails  // the next job fails
	JobHangs  // the next job does not end before its timeout
	JobLate   // the next job takes most of its timeout
	JobUntold // the next job does its work, and then nobody is told: it does not return in time, or the scheduler dies
	Operator  // an operator sends a command

	// Of tasks.

	TaskDies       // a task that runs fails
	TaskDiesAtOnce // the next task fails before it runs
	TaskLate       // the next task takes up to two minutes to start
	TaskHangs      // a task hears nothing any more, not even a kill
	ExecutorDies   // an executor ends without a word

	// Of other frameworks.

	RivalTakes     // another framework takes much of what is free, and gives it back
	RivalFragments // another framework leaves an agent in small pieces that become free one by one

	// Added later, so that seeds keep their meaning.

	RegistryForgets // an agent is cut off, and comes back to a master whose registry knows nothing of it any more, as after weeks

	faultKinds int = iota
)

var faultNames = [faultKinds]string{
	"update-lost", "update-late", "update-twice", "update-swapped", "operation-lost", "operation-fails", "link-broken", "launch-lost",
	"apply-lost", "agent-cut", "agent-healed", "agent-restarted", "agent-rebooted", "agent-wiped", "agent-gone",
	"agent-drained", "agent-maintained", "agent-deactivated",
	"stream-cut", "stream-silent", "events-late", "calls-late", "call-lost",
	"master-failover", "registry-unwritten", "registry-untold",
	"crash", "save-slow", "save-fails", "standby", "clock-step", "job-fails", "job-hangs", "job-late", "job-untold", "operator",
	"task-dies", "task-dies-at-once", "task-late", "task-hangs", "executor-dies",
	"rival-takes", "rival-fragments",
	"registry-forgets",
}

// String is the kind's name in scripts.
func (k FaultKind) String() string {
	if k < 0 || int(k) >= faultKinds {
		return fmt.Sprintf("FaultKind(%d)", int(k))
	}
	return faultNames[k]
}

// ParseFaultKind is the inverse of [FaultKind.String].
func ParseFaultKind(name string) (FaultKind, error) {
	if i := slices.Index(faultNames[:], name); i >= 0 {
		return FaultKind(i), nil
	}
	return 0, fmt.Errorf("mesostest: fault %q: want one of %s", name, strings.Join(faultNames[:], ", "))
}

// Fault is one thing that goes wrong.
type Fault struct {
	At   time.Duration // since the simulation began, in virtual time
	Kind FaultKind
	Pick uint16 // which one of several
}

// String is the fault's line in a script.
func (f Fault) String() string { return fmt.Sprintf("%v %s %d", f.At, f.Kind, f.Pick) }

func parseFault(line string) (Fault, error) {
	at, rest, _ := strings.Cut(line, " ")
	name, number, _ := strings.Cut(rest, " ")
	var f Fault
	var err error
	if f.At, err = time.ParseDuration(at); err != nil || f.At < 0 {
		return f, fmt.Errorf("mesostest: fault %q: want a time, a kind and a number, such as \"1m30s crash 7\"", line)
	}
	if f.Kind, err = ParseFaultKind(name); err != nil {
		return f, err
	}
	pick, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return f, fmt.Errorf("mesostest: fault %q: %q: want a number of 0 to 65535", line, number)
	}
	f.Pick = uint16(pick)
	return f, nil
}

// Rates says how often each kind of fault happens, in times per hour of
// virtual time. Kinds that are not named do not happen.
type Rates map[FaultKind]float64

// DefaultRates are all kinds: about one fault in two seconds.
func DefaultRates() Rates {
	often, seldom := []FaultKind{
		UpdateLost, UpdateLate, UpdateTwice, UpdateSwapped, OperationLost, OperationFails, LinkBroken, LaunchLost, ApplyLost,
		AgentHealed, StreamCut, CallLost, CallsLate, EventsLate, Crash, Crash, SaveSlow, SaveFails, JobFails, JobLate, JobUntold,
		Operator, TaskDies, TaskDiesAtOnce, TaskLate, ExecutorDies, RivalTakes, RivalFragments, AgentDeactivated,
	}, []FaultKind{
		AgentCut, AgentRestarted, AgentRebooted, AgentWiped, AgentDrained, AgentMaintained, StreamSilent,
		MasterFailover, RegistryUnwritten, RegistryUntold, RegistryForgets, Standby, ClockStep, JobHangs, TaskHangs,
	}
	r := Rates{AgentGone: 6}
	for _, k := range often {
		r[k] += 60
	}
	for _, k := range seldom {
		r[k] += 20
	}
	return r
}

// Only returns the rates of these kinds.
func (r Rates) Only(kinds ...FaultKind) Rates {
	out := Rates{}
	for _, k := range kinds {
		out[k] = r[k]
	}
	return out
}

// Times returns the rates multiplied.
func (r Rates) Times(factor float64) Rates {
	out := Rates{}
	for k, rate := range r {
		out[k] = rate * factor
	}
	return out
}

// faults draws the times of all faults of a storm.
func (r Rates) faults(seed uint64, storm time.Duration) []Fault {
	var out []Fault
	for k := range FaultKind(faultKinds) {
		rate := r[k]
		if rate <= 0 {
			continue
		}
		random := rand.New(rand.NewPCG(seed, uint64(k)))
		pause := float64(time.Hour) / rate
		for at := 0.0; ; {
			at += random.ExpFloat64() * pause
			if at >= float64(storm) || math.IsNaN(at) {
				break
			}
			out = append(out, Fault{time.Duration(at).Round(time.Millisecond), k, uint16(random.Uint32())})
		}
	}
	sortFaults(out)
	return out
}

func sortFaults(faults []Fault) {
	slices.SortStableFunc(faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Pick, b.Pick))
	})
}
