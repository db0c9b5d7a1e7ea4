package mysql

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/frameworks"
)

// world is a replication set and the engine around it, as far as the failover
// depends on them.
type world struct {
	t    *testing.T
	r    *rand.Rand
	now  time.Time
	set  set
	mind memory

	nodes   []frameworks.Node
	servers []*server // by node
	works   []frameworks.Do
	next    uint64 // transaction
	acked   gtids
	log     []string
	// promotions counts them; waits counts those that were refused for want of
	// members, and losses those that were made nevertheless.
	promotions, waits, losses int
	accepted                  *frameworks.Step // what an operator accepts
}

// server is the process of a node's last task, and its volume.
type server struct {
	running, frozen, away bool // away: the scheduler does not reach it, nor its agent
	writable              bool
	executed, received    gtids
	source                int // -1: none
	receiving             bool
}

const lease = 3 * time.Second

func newWorld(t *testing.T, seed uint64) *world {
	c := valid().withDefaults()
	c.Lease = lease
	w := &world{
		t: t, r: rand.New(rand.NewPCG(seed, 3)), now: time.Unix(1_000_000, 0),
		set: set{Cluster: c, flavor: oracle{}}, acked: gtids{},
	}
	for i := range 3 {
		w.nodes = append(w.nodes, frameworks.Node{
			Name: fmt.Sprint("member-", i), Pod: pod, Index: i, Goal: frameworks.GoalRun, Generation: 1,
			Place: &frameworks.Place{Address: fmt.Sprint("10.0.0.", i), Ports: map[string]uint64{port: 3306}},
		})
		w.servers = append(w.servers, &server{executed: gtids{}, received: gtids{}, source: -1})
	}
	return w
}

func (w *world) say(format string, args ...any) { w.log = append(w.log, fmt.Sprintf(format, args...)) }

// check is what must hold at every moment.
func (w *world) check() {
	writable := 0
	for _, s := range w.servers {
		if s.running && s.writable {
			writable++
		}
	}
	require.LessOrEqual(w.t, writable, 1, "two members take writes\n%s", w.told())
}

func (w *world) told() string { return strings.Join(w.log[max(0, len(w.log)-80):], "\n") }

func (w *world) deployment() frameworks.Deployment {
	return frameworks.Deployment{Service: "mysql", Nodes: slices.Clone(w.nodes), First: map[string]int{pod: 3}}
}

// see is what one look at a server gives.
func (w *world) see(i int) member {
	n, s := w.nodes[i], w.servers[i]
	if !s.running || s.frozen || s.away {
		return member{Node: n.Name, Generation: n.Generation, Err: "does not answer"}
	}
	m := member{
		Node: n.Name, Generation: n.Generation, Task: taskName(n), Writable: s.writable, Semisync: s.writable,
		Executed: s.executed.String(), Received: s.received.String(),
	}
	if s.source >= 0 {
		m.Source = w.nodes[s.source].Address(port)
		m.Applying = true
		m.Receiving = s.receiving && w.answers(s.source)
	}
	for j, other := range w.servers {
		if s.writable && w.answers(j) && other.source == i && other.receiving {
			m.Replicas++
		}
	}
	return m
}

func (w *world) answers(i int) bool { return w.servers[i].running && !w.servers[i].frozen }

func (w *world) sees() view {
	v := view{Following: len(w.mind.Following) > 0}
	for i := range w.nodes {
		v.Members = append(v.Members, w.see(i))
	}
	return v
}

func (w *world) decide(news frameworks.News[view]) {
	before := w.mind
	mind, orders := w.set.decide(w.now, w.deployment(), w.mind, news)
	text, err := json.Marshal(mind) // what is not saved is forgotten
	require.NoError(w.t, err)
	w.mind = memory{}
	require.NoError(w.t, json.Unmarshal(text, &w.mind))
	if before.Stage != mind.Stage || before.Why != mind.Why {
		w.say("%s: epoch %d, stage %q, primary %s, why %q", w.now.Format("05.000"), mind.Epoch, mind.Stage, mind.Primary, mind.Why)
	}
	if strings.Contains(mind.Why, "so nobody is promoted") && mind.Why != before.Why {
		w.waits++
	}
	for _, o := range orders {
		w.obey(o)
	}
}

func (w *world) node(name string) int {
	return slices.IndexFunc(w.nodes, func(n frameworks.Node) bool { return n.Name == name })
}

func (w *world) obey(o frameworks.Order) {
	switch o := o.(type) {
	case frameworks.Do:
		if !slices.ContainsFunc(w.works, func(d frameworks.Do) bool { return d.Name == o.Name }) {
			w.works = append(w.works, o)
		}
	case frameworks.Withhold:
		if n := &w.nodes[w.node(o.Node)]; n.Withheld.IsZero() {
			n.Withhold, n.Withheld = true, w.now
		}
	case frameworks.Renew:
		n := &w.nodes[w.node(o.Node)]
		n.Withhold, n.Withheld = false, time.Time{}
	case frameworks.Note:
		if strings.HasPrefix(o.Text, "an operator has accepted a loss") {
			s := w.servers[w.node(o.Node)]
			w.losses++
			w.accepted = nil
			w.acked = w.acked.minus(w.acked.minus(s.executed.union(s.received)))
		}
	case frameworks.Fence:
		w.nodes[w.node(o.Node)].Fenced = true
	case frameworks.Allow:
		w.nodes[w.node(o.Node)].Fenced = false
	case frameworks.Name:
		w.nodes[w.node(o.Node)].Role = o.Role
	case frameworks.Rebuild:
		i := w.node(o.Node)
		w.say("%s is rebuilt", o.Node)
		w.end(i)
		w.nodes[i].Generation++
		*w.servers[i] = server{executed: gtids{}, received: gtids{}, source: -1}
	}
}

// end is the end of a server that its agent tells of.
func (w *world) end(i int) {
	s, n := w.servers[i], &w.nodes[i]
	s.running, s.frozen, s.writable, s.receiving, s.away = false, false, false, false, false
	n.Alive, n.Ready = false, false
}

// engine does what the engine does with time: it launches, kills what is
// fenced, and ends what has no lease.
func (w *world) engine() {
	for i := range w.nodes {
		n, s := &w.nodes[i], w.servers[i]
		if s.running && n.Fenced && !s.away {
			w.say("%s is killed", n.Name)
			w.end(i)
		}
		if s.running && s.writable && !n.Withheld.IsZero() && !w.now.Before(n.Withheld.Add(lease)) {
			w.say("%s is ended by its own executor", n.Name)
			s.running, s.frozen, s.writable, s.receiving = false, false, false, false
			if !s.away {
				w.end(i)
			}
		}
		if s.away && n.Alive && n.Harmless(w.now) && !s.running {
			n.Alive = false
		}
		if !n.Alive && !s.running && !n.Fenced && !s.away && w.r.IntN(3) == 0 {
			n.Incarnation++
			n.Alive, n.Arrived, n.Lease, n.Ready = true, n.Generation, &executor.Lease{Within: lease}, true
			s.running = true
			w.say("%s is launched", taskName(*n))
		}
	}
}

// replicate has a replica take what its source has: which acknowledges it.
func (w *world) replicate(i int) {
	s := w.servers[i]
	if !w.answers(i) || s.source < 0 || !s.receiving || !w.answers(s.source) {
		return
	}
	from := w.servers[s.source]
	s.received = s.received.union(from.executed)
	if from.writable {
		w.acked = w.acked.union(from.executed)
	}
	if w.r.IntN(2) == 0 {
		s.executed = s.executed.union(s.received)
	}
}

func (w *world) write() {
	for i, s := range w.servers {
		if w.answers(i) && s.writable {
			w.next++
			s.executed = s.executed.union(gtids{fmt.Sprintf("%s-%d", w.nodes[i].Name, w.nodes[i].Generation): {{w.next, w.next}}})
		}
	}
}

// fault does harm to one member.
func (w *world) fault() {
	i := w.r.IntN(len(w.nodes))
	s, n := w.servers[i], w.nodes[i]
	if !s.running {
		return
	}
	switch w.r.IntN(4) {
	case 0:
		w.say("%s: kill -9", n.Name)
		if s.away {
			s.running, s.frozen, s.writable, s.receiving = false, false, false, false
		} else {
			w.end(i)
		}
	case 1:
		w.say("%s freezes", n.Name)
		s.frozen = true
	case 2:
		w.say("%s wakes up", n.Name)
		s.frozen = false
	case 3:
		w.say("the agent of %s is cut off", n.Name)
		s.away = true
		w.nodes[i].Withheld = w.now
	}
}

// heal brings agents back.
func (w *world) heal(i int) {
	s, n := w.servers[i], &w.nodes[i]
	if !s.away {
		return
	}
	s.away = false
	if !n.Withhold {
		n.Withheld = time.Time{}
	}
	if !s.running {
		w.end(i)
	}
}

// carry carries out one of the works that are under way; it may fail before or
// after it has had its effect.
func (w *world) carry() {
	if len(w.works) == 0 {
		return
	}
	i := w.r.IntN(len(w.works))
	do := w.works[i]
	if w.r.IntN(10) == 0 {
		w.effect(do) // and the scheduler dies over it
		return
	}
	w.works = slices.Delete(w.works, i, i+1)
	done := frameworks.Done{Do: do}
	if w.r.IntN(10) == 0 {
		done.Err = "cut before"
	} else if result, err := w.effect(do); err != nil {
		done.Err = err.Error()
	} else if done.Result = result; w.r.IntN(10) == 0 {
		done.Result, done.Err = "", "cut after"
	}
	w.say("%s %s: %q %s", do.Name, do.Input, done.Err, done.Result)
	w.decide(frameworks.News[view]{Done: &done})
}

// effect is what package set's work does to real servers.
func (w *world) effect(do frameworks.Do) (string, error) {
	i := w.node(do.Node)
	if i >= 0 && w.see(i).Err != "" {
		return "", fmt.Errorf("%s does not answer", do.Node)
	}
	if !w.mind.wants(do, w.nodes[max(i, 0)]) {
		return "", fmt.Errorf("%s of epoch %s: nobody wants that any more", do.Name, do.Input)
	}
	switch {
	case do.Name == seal:
		v := w.sees()
		for j, m := range v.Members {
			if m.Writable {
				v.Members[j].Err = "still takes writes"
			} else if m.Err == "" {
				w.servers[j].receiving = false
			}
		}
		text, err := json.Marshal(v)
		return string(text), err
	case do.Name == promote:
		s := w.servers[i]
		s.executed = s.executed.union(s.received)
		require.True(w.t, s.writable || s.executed.contains(w.acked), "%s is promoted without %s\n%s", do.Node, w.acked, w.told())
		s.source, s.receiving, s.writable = -1, false, true
		w.promotions++
		return "", nil
	case do.Name == yield:
		w.servers[i].writable = false
		to := w.node(w.mind.Next)
		if to < 0 || w.see(to).Err != "" || w.servers[to].source != i || !w.servers[to].receiving {
			return "", fmt.Errorf("the next does not answer")
		}
		w.servers[to].received = w.servers[to].received.union(w.servers[i].executed)
		w.servers[to].executed = w.servers[to].executed.union(w.servers[to].received)
		return "", nil
	case do.Name == admin:
		return w.set.mark(), nil
	}
	return w.follow(i)
}

func (w *world) follow(i int) (string, error) {
	p, s := w.node(w.mind.Primary), w.servers[i]
	if p == i || w.see(p).Err != "" || !w.servers[p].writable || s.writable {
		return "", fmt.Errorf("there is nobody to follow")
	}
	if !w.servers[p].executed.contains(s.executed) {
		return rebuild, nil
	}
	s.source, s.receiving, s.received = p, true, gtids{} // what was received and not applied is fetched again
	return "", nil
}

// step is a moment in the life of the set.
func (w *world) step(harm bool) {
	w.now = w.now.Add(time.Duration(w.r.IntN(400)) * time.Millisecond)
	w.engine()
	w.write()
	for i := range w.nodes {
		if w.r.IntN(2) == 0 {
			w.replicate(i)
		}
		if !harm || w.r.IntN(40) == 0 {
			w.heal(i)
		}
		if !harm && w.servers[i].frozen && !w.servers[i].writable {
			w.servers[i].frozen = false // of a replica nobody is to tell; it is woken
		}
	}
	if harm && w.r.IntN(25) == 0 {
		w.fault()
	}
	if i := w.r.IntN(len(w.nodes)); harm && w.r.IntN(60) == 0 {
		w.nodes[i].Restart = true
	}
	for i := range w.nodes { // a replica that is to restart does so
		if n := &w.nodes[i]; n.Restart && n.Role != primaryRole && w.mind.Primary != n.Name && n.Alive && !w.servers[i].away {
			n.Restart = false
			w.end(i)
		}
	}
	v := w.sees()
	if w.r.IntN(3) == 0 {
		w.decide(frameworks.News[view]{View: &v})
	} else {
		w.decide(frameworks.News[view]{})
	}
	w.carry()
	w.check()
}

// Whatever happens to members, works and the scheduler: no two take writes, a
// new primary has all that was acknowledged, and when the harm ends so does the
// trouble.
func TestFailoverUnderFaults(t *testing.T) {
	t.Parallel()
	promotions, waits := 0, 0
	for seed := range uint64(30) {
		w := newWorld(t, seed)
		for range 400 {
			w.step(true)
		}
		healthy := func() bool {
			p := w.node(w.mind.Primary)
			return w.mind.Stage == steady && p >= 0 && w.see(p).Writable && w.see(p).Replicas == 2 && w.servers[p].executed.contains(w.acked)
		}
		for steps := 0; !healthy(); steps++ {
			require.Less(t, steps, 3000, "seed %d: it does not heal: %+v\n%s", seed, w.mind, w.told())
			w.step(false)
		}
		promotions, waits = promotions+w.promotions, waits+w.waits
	}
	t.Logf("%d promotions, %d times nobody could be promoted", promotions, waits)
	assert.Greater(t, promotions, 80)
	assert.NotZero(t, waits)
}

// lose takes a member's machine away for good; its place is another.
func (w *world) lose(i int) {
	w.say("the machine of %s is lost for good", w.nodes[i].Name)
	w.obey(frameworks.Rebuild{Node: w.nodes[i].Name})
	w.nodes[i].Fenced, w.nodes[i].Withhold, w.nodes[i].Withheld = false, false, time.Time{}
}

// accept is an operator who accepts what some survivor's promotion costs, at any
// time: perhaps of an impasse that is over.
func (w *world) accept() {
	if i := w.mind.Impasse; i != nil && len(i.Survivors) > 0 {
		s := i.Survivors[w.r.IntN(len(i.Survivors))]
		w.accepted = &frameworks.Step{Name: s.Node, Input: strconv.Itoa(i.Epoch - w.r.IntN(2))}
	}
}

// Two of three machines are lost, again and again, and an operator accepts that:
// still no two take writes, what the survivor has is kept, and all heals.
func TestLossesThatAreAccepted(t *testing.T) {
	t.Parallel()
	losses := 0
	for seed := range uint64(30) {
		w := newWorld(t, seed)
		w.set.under = func(plan string) []frameworks.Step {
			if plan != AcceptLossPlan || w.accepted == nil {
				return nil
			}
			return []frameworks.Step{*w.accepted}
		}
		for range 400 {
			if w.r.IntN(60) == 0 {
				i := w.r.IntN(len(w.nodes))
				w.lose(i)
				w.lose((i + 1) % len(w.nodes))
			}
			if w.r.IntN(20) == 0 {
				w.accept()
			}
			w.step(true)
		}
		healthy := func() bool {
			p := w.node(w.mind.Primary)
			return w.mind.Stage == steady && p >= 0 && w.see(p).Writable && w.see(p).Replicas == 2 && w.servers[p].executed.contains(w.acked)
		}
		for steps := 0; !healthy(); steps++ {
			require.Less(t, steps, 3000, "seed %d: it does not heal: %+v\n%s", seed, w.mind, w.told())
			w.accept()
			w.step(false)
		}
		losses += w.losses
	}
	t.Logf("%d losses were accepted", losses)
	assert.Greater(t, losses, 30)
}
