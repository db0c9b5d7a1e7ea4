package frameworks

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/scheduler"
)

// Rollout says how the nodes of a pod are brought to a new configuration: those
// that are out of date, a few at a time, each ready again before the next.
type Rollout struct {
	// Parallel is how many nodes are down for it at once, at most, and as far
	// as the service can spare them; zero: 1.
	Parallel int
	// Order says which of these nodes go first; nil: the first by index. The
	// ones that it leaves out go last.
	Order func(d Deployment, nodes []Node) []Node
	// Canary is after how many nodes it pauses, for an operator to look and to
	// resume; zero: never.
	Canary int
	// By parts it into waves by an attribute of the agents, such as "rack": all
	// nodes of one value are ready before one of another is taken. Values come in
	// the order of their first nodes.
	By string
	// Percents part it into waves of the nodes that are out of date, such as 10, 50:
	// a tenth of them, then up to a half, then the rest. Either By or Percents.
	Percents []int
	// Pause: it pauses after each wave, for an operator to look and to resume.
	Pause bool
	// Patience is how long a node may take to get ready with the new configuration;
	// zero: 10 minutes. Each time that it passes counts as a failure.
	Patience time.Duration
	// Failures is how many failures of nodes with the new configuration pause
	// it; zero: 3. Nodes that were not yet taken keep running as they are.
	Failures int
	// Rollback goes back to the last options with which every node was ready,
	// where there are such, instead of pausing.
	Rollback bool
}

// rolloutRecord is how far a pod's rollout has come; zero: there is none.
type rolloutRecord struct {
	Since    time.Time `json:"since,omitzero"`
	Taken    int       `json:"taken,omitempty"`    // nodes stopped for it
	Failures int       `json:"failures,omitempty"` // of nodes with the new configuration
	Paused   string    `json:"paused,omitempty"`   // why; empty: it goes on
	// Failed: it is paused because of too many failures.
	Failed bool `json:"failed,omitempty"`
	// Resumed: an operator looked at the canaries.
	Resumed bool `json:"resumed,omitempty"`
	// Wave is the wave under way, from 1; zero: none has begun. Value is that of its
	// nodes' attribute, Total how many nodes there are in all waves of percents.
	Wave  int    `json:"wave,omitempty"`
	Value string `json:"value,omitempty"`
	Total int    `json:"total,omitempty"`
	// Stuck: it waits for nodes out of reach, and for nothing else.
	Stuck bool `json:"stuck,omitempty"`
}

// under says whether the rollout is under way and holds up those of later pods.
func (r *rolloutRecord) under() bool { return !r.Since.IsZero() && !r.Stuck }

// comparison is how far the nodes have been compared with what they would be
// rendered from now. It costs a rendering for each node, so that only a few
// are compared in one decision.
type comparison struct {
	// Of is a sum of all that a rendering depends on.
	Of string `json:"of,omitempty"`
	// Next is the node to go on with, Done how many were compared since Of
	// changed.
	Next int `json:"next,omitempty"`
	Done int `json:"done,omitempty"`
	// Program: it is because of the program, which may be another one.
	Program bool `json:"program,omitempty"`
	// Mixed: the nodes have changed as well, so that what they differ from need not
	// be the program's doing.
	Mixed bool `json:"mixed,omitempty"`
}

// anew has all nodes compared with what a program wants that may be another one.
func (c *comparison) anew(nodes int) {
	*c = comparison{Of: c.Of, Next: c.Next, Program: true, Mixed: c.Mixed || !c.Program && c.Done < nodes}
}

// renderings is how many nodes one decision compares at most.
const renderings = 16

// compare finds the nodes that are out of date, and begins and ends rollouts.
func (d *decision) compare() {
	c := &d.service.Comparison
	if of := d.footprint(); of != c.Of {
		*c = comparison{Of: of, Next: c.Next, Program: c.Program, Mixed: c.Program}
	}
	standing := sync.OnceValue(d.standing) // mostly there is nothing to compare
	for rendered := 0; c.Done < len(d.nodes) && rendered < renderings; c.Done++ {
		n := d.nodes[c.Next%len(d.nodes)]
		c.Next = (c.Next + 1) % len(d.nodes)
		if n.Place == nil || n.Incarnation == 0 || !n.Place.Used {
			continue
		}
		rendered++
		d.compareNode(standing(), n)
	}
	if c.Done < len(d.nodes) {
		d.wakeAt(d.now.Add(time.Millisecond))
		return
	}
	c.Program, c.Mixed = false, false // nodes that come now are no news of the program
	for i := range d.Pods {
		d.progressOf(&d.Pods[i])
	}
}

func (d *decision) compareNode(standing Deployment, n *Node) {
	shape := d.pod(n.Pod).shape()
	if n.Place.Shape == "" {
		n = d.rouse(n)
		n.Place.Shape = shape // an earlier Mesokit reserved it
	}
	if x := n.Place.Extra; x != nil {
		shape += ";" + x.For
	}
	wanted, err := d.config(standing, n, shape)
	if err != nil && d.lacks(n) != "" {
		return // it may want a port that is not there yet
	}
	if err != nil {
		d.progress(d.rouse(n), "cannot be rendered", slog.String("error", err.Error()))
		return
	}
	if n.Config == "" {
		n = d.rouse(n)
		n.Config = wanted // an earlier Mesokit launched it
	}
	if n.Wanted == wanted {
		return
	}
	n = d.rouse(n)
	n.Wanted = wanted
	if n.Skip != wanted {
		n.Skip = "" // another update, and later perhaps the same again: that was not skipped
	}
	if d.pod(n.Pod).Aim == AimOnce && n.Finished != "" {
		n.Config, n.Finished = wanted, wanted
	}
	if !n.Outdated() {
		return
	}
	d.note(n, "out of date")
	if _, live := d.live(n); !live {
		n.Failures, n.Retry = 0, d.now // what it failed with is not what it is launched with next
	}
	c := d.service.Comparison
	if r := &d.pods[n.Pod].Rollout; !r.Since.IsZero() && c.Program && !c.Mixed {
		*r = rolloutRecord{Since: r.Since} // a correction is always taken
	}
}

// progressOf begins the rollout of a pod when a running node is out of date,
// and ends it when none is, and all that went down for it are ready again.
func (d *decision) progressOf(p *Pod) {
	outdated, away, out, r := len(d.behind[p.Name]), 0, 0, &d.pods[p.Name].Rollout
	var left []*Node // of those awake, the ones that can be reached and were not taken
	taken := 0       // and stop, or are to stop again
	for _, n := range d.awake() {
		task, live := d.live(n)
		switch {
		case n.Pod != p.Name || n.Goal != GoalRun:
		case n.Outdated() && live:
			outdated++
			switch {
			case task.Status.GetState() == mesos.TASK_UNREACHABLE:
				away++
			case n.Spared || !n.Out.IsZero():
				taken++
			default:
				left = append(left, n)
			}
		case !n.Out.IsZero():
			out++
		}
	}
	r.Stuck = away > 0 && away == outdated && out == 0
	switch {
	case outdated > 0 && r.Since.IsZero():
		r.Since = d.now
		d.announce("rollout begins", p, slog.Int("nodes", outdated))
	case outdated+out == 0 && !r.Since.IsZero():
		*r = rolloutRecord{}
		d.announce("rollout complete", p)
	case p.Rollout.Canary > 0 && !r.Resumed && r.Paused == "" && r.Taken >= p.Rollout.Canary && outdated > 0 && out+taken == 0:
		r.Paused = fmt.Sprintf("%d of its nodes are updated and ready, as many as it wants looked at: resume it", r.Taken)
		d.announce("rollout paused", p, slog.String("why", r.Paused))
	}
	if out+taken == 0 {
		d.nextWave(p, left)
	}
}

// updates says whether a node is to stop because it is out of date: one pod
// after the other, unless its rollout is paused or stalled.
func (d *decision) updates(n *Node) bool {
	if !n.Outdated() || n.Goal != GoalRun || d.paused("update") && !n.fixable() {
		return false
	}
	r := d.pods[n.Pod].Rollout
	if !d.view.Connected() || d.service.Comparison.Program {
		return false // what it was found to differ from may be wanted no more
	}
	if r.Since.IsZero() || (r.Paused != "" || !d.inWave(n)) && !n.fixable() || d.lacking(n) != nil || d.awaitsRoom(n) {
		return false
	}
	if slices.ContainsFunc(d.pod(n.Pod).After, func(pod string) bool { return d.unfinished(pod) != "" }) {
		return false
	}
	for i := range d.Pods {
		name := d.Pods[i].Name
		if name == n.Pod {
			return true
		}
		if d.pods[name].Rollout.under() && !d.stalled(name) {
			return false
		}
	}
	return true
}

// stalled says whether a pod's rollout has nobody down and a node that has the
// new configuration and does not get ready: it may wait for the pods after it,
// which are to be told where the node is.
func (d *decision) stalled(pod string) bool {
	stalls, known := d.stalls[pod]
	if known {
		return stalls
	}
	for _, n := range d.nodes {
		if n.Pod != pod {
			continue
		}
		if !n.Out.IsZero() {
			stalls = false
			break
		}
		_, live := d.live(n)
		stalls = stalls || live && n.Goal == GoalRun && !n.Ready && !n.Outdated()
	}
	if d.stalls == nil {
		d.stalls = map[string]bool{}
	}
	d.stalls[pod] = stalls
	return stalls
}

// fixable says whether a node is down for a rollout and does not get ready: what
// would mend it is not held back.
func (n *Node) fixable() bool { return !n.Out.IsZero() && !n.Ready }

// quota is how many more nodes the rollout of a pod may take for now.
func (d *decision) quota(p *Pod) int {
	r := d.pods[p.Name].Rollout
	most := math.MaxInt
	if p.Rollout.Canary > 0 && !r.Resumed {
		most = p.Rollout.Canary
	}
	if len(p.Rollout.Percents) > 0 {
		most = min(most, p.Rollout.bound(max(r.Wave, 1), r.Total))
	}
	if r.Paused != "" {
		return 0
	}
	return max(0, most-r.Taken)
}

// strained counts a failure of a node with the new configuration. When there
// are too many, no further node is taken.
func (d *decision) strained(n *Node) {
	p := d.pod(n.Pod)
	r := &d.pods[n.Pod].Rollout
	if r.Since.IsZero() || n.Outdated() || r.Paused != "" {
		return
	}
	r.Failures++
	if r.Failures < cmp.Or(p.Rollout.Failures, 3) {
		return
	}
	r.Failed = true
	r.Paused = fmt.Sprintf("nodes with the new configuration failed %d times, the last %s: %s", r.Failures, n.Name, n.LastFailure)
	d.announce("rollout paused", p, slog.String("why", r.Paused))
}

// hurry counts a node that runs with the new configuration, and does not get
// ready, as failed.
func (d *decision) hurry(n *Node) {
	r := d.pods[n.Pod].Rollout
	task, live := d.live(n)
	if n.Ready || n.Out.IsZero() || r.Since.IsZero() || r.Paused != "" || !live || n.Outdated() ||
		task.Killing || task.Status.GetState() == mesos.TASK_UNREACHABLE {
		return
	}
	patience := cmp.Or(d.pod(n.Pod).Rollout.Patience, 10*time.Minute)
	since := task.Since
	for _, t := range []time.Time{r.Since, n.Late} {
		if t.After(since) {
			since = t
		}
	}
	due := since.Add(patience)
	if d.now.Before(due) {
		d.wakeAt(due)
		return
	}
	n.Late = d.now
	d.wakeAt(d.now.Add(patience))
	d.failed(n, "not ready within "+patience.String()+": "+d.waitsFor(n, d.phase(n), ""))
	d.note(n, "does not get ready", slog.String("within", patience.String()))
	d.strained(n)
}

// announce tells of a change of a pod's state.
func (d *decision) announce(text string, p *Pod, attrs ...slog.Attr) {
	d.do(scheduler.Note{Text: text, Attrs: append([]slog.Attr{slog.String("pod", p.Name)}, attrs...)})
}

// footprint is a sum of all that a rendering depends on.
func (d *decision) footprint() string {
	nodes := d.roster.footprint
	for _, n := range d.awake() {
		nodes += n.footprint()
	}
	sum := fnv.New64a()
	fmt.Fprintln(sum, nodes)
	for _, pod := range sortedKeys(d.pods) {
		fmt.Fprintln(sum, pod, d.pods[pod].First)
	}
	sum.Write(d.service.Options.Target)
	return hex.EncodeToString(sum.Sum(nil))
}

// standing is the deployment as it is once every node has arrived where it has
// its place. Configurations are compared as rendered from that, so that a node
// is not out of date because it, or a peer, has done what it was launched for.
func (d *decision) standing() Deployment {
	out := d.deployment()
	for i, n := range out.Nodes {
		out.Nodes[i] = stand(n)
	}
	return out
}

func stand(n Node) Node {
	return Node{
		Name: n.Name, Pod: n.Pod, Index: n.Index, Goal: GoalRun,
		Generation: n.Generation, Founding: n.Founding, Arrived: n.Generation, Place: n.Place,
	}
}

// config is a hash of what counts in the task that a node would be given, in a
// place of a shape.
func (d *decision) config(standing Deployment, n *Node, shape string) (string, error) {
	pod := d.pod(n.Pod)
	var counts any = pod.Command
	if pod.Task != nil {
		task, err := pod.render(standing, stand(*n))
		if err != nil {
			return "", fmt.Errorf("task of %s: %w", n.Name, err)
		}
		if counts, err = pod.essence(task); err != nil {
			return "", fmt.Errorf("essence of %s: %w", n.Name, err)
		}
	}
	text, err := json.Marshal(counts)
	if err != nil {
		return "", fmt.Errorf("task of %s: %w", n.Name, err)
	}
	around, err := pod.surroundings()
	if err != nil {
		return "", fmt.Errorf("task of %s: %w", n.Name, err)
	}
	sum := sha256.Sum256(slices.Concat(text, []byte(shape), []byte(around)))
	return hex.EncodeToString(sum[:8]), nil
}

// essence is what counts of a task.
func (p *Pod) essence(task executor.Task) (executor.Task, error) {
	if p.Essence == nil {
		return task, nil
	}
	return guarded(func() (executor.Task, error) { return p.Essence(task), nil })
}

// resumeRollouts lets rollouts go on that are paused.
func (d *decision) resumeRollouts() {
	for i := range d.Pods {
		if r := &d.pods[d.Pods[i].Name].Rollout; r.Paused != "" {
			r.Paused, r.Failed, r.Failures, r.Resumed = "", false, 0, true
			d.announce("rollout resumed", &d.Pods[i])
		}
	}
}
