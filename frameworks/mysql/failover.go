package mysql

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mesokit/mesokit/frameworks"
)

// stage is how far a change of the primary has come.
type stage string

const (
	steady    stage = ""          // there is a primary, or not yet all that the first election needs
	fencing   stage = "fencing"   // until nothing of the old primary can act any more
	sealing   stage = "sealing"   // until the others receive no more, and have told what they have
	promoting stage = "promoting" // until the new primary takes writes
	yielding  stage = "yielding"  // until the primary takes none, and the next has all that it wrote
)

const failoverName = "failover"

// The works of the failover.
const (
	seal    = "seal"
	promote = "promote"
	yield   = "yield"
	admin   = "admin"
	follow  = "follow-" // and the node
)

const (
	// silence is how long a primary may give no answer, while no replica hears of
	// it either, before it is taken for dead.
	silence = 3 * time.Second
	// pause lies between two attempts of a work that failed.
	pause = 2 * time.Second
	// connectWithin is how long a replica may take to connect; then it is told anew.
	connectWithin = 10 * time.Second
	// patience is how many promotions of a member may fail before it is given up.
	patience = 3
)

// memory is what the failover remembers. It names one primary at most, and
// another one only after nothing of the one before can act any more: so no two
// members take writes.
type memory struct {
	Stage stage `json:"stage,omitempty"`
	// Epoch counts the changes of the primary that were begun; 0: never one.
	Epoch int `json:"epoch"`
	// Primary is whom writes go to, or are about to; with the place and the task
	// that it was promoted in. Another task of it starts read-only.
	Primary     string `json:"primary,omitempty"`
	Generation  int    `json:"generation,omitempty"`
	Incarnation int    `json:"incarnation,omitempty"`
	// Members may hold, each alone, what the primary acknowledged: those that
	// follow it or did, with their generations.
	Members map[string]int `json:"members,omitempty"`
	// Settled: some member has caught up with the primary since its promotion, and
	// since a member last gave up what it had received, so that what was
	// acknowledged before is among Members too. Until then it is surely on the
	// primary only, and, until a member gives up anything, on the one before it.
	// Base is what a member has to have for that.
	Settled          bool   `json:"settled,omitempty"`
	Base             string `json:"base,omitempty"`
	Former           string `json:"former,omitempty"` // the primary before
	FormerGeneration int    `json:"former_generation,omitempty"`
	// Following are the works under way that make a member follow. None is while
	// somebody is elected: it could turn the new primary into a replica.
	Following []string `json:"following,omitempty"`
	// Told is when tasks were last made to follow that were not seen to do so since.
	Told map[string]time.Time `json:"told,omitempty"`
	// Next is who takes over from a primary that yields.
	Next string `json:"next,omitempty"`

	Silent time.Time `json:"silent,omitzero"` // since when the primary is
	Failed int       `json:"failed,omitempty"`
	Retry  time.Time `json:"retry,omitzero"` // no work before
	// Rebuilt is when a member was last made anew.
	Rebuilt time.Time `json:"rebuilt,omitzero"`
	// Impasse is why nobody can be elected, as long as that is so. Forsaken are those
	// without whom an operator had somebody promoted, with their generations: they are
	// made anew.
	Impasse  *Impasse       `json:"impasse,omitempty"`
	Forsaken map[string]int `json:"forsaken,omitempty"`
	// Alone: nobody else answers, so that the primary is promoted only when another
	// member is there: until then nothing could be acknowledged, and of a primary whose
	// clients wait no copy can be made.
	Alone bool `json:"alone,omitempty"`
	// Admin tells of the administrator's account which hash it has; see mark.
	Admin string `json:"admin,omitempty"`
	// Why it goes on no further.
	Why string `json:"why,omitempty"`
}

// wants says whether a work that begins now is still wanted. It may have been
// ordered a while ago: works that fail wait before they begin again, and those
// over which a scheduler died begin with the next one. By then another may have
// been elected.
func (m memory) wants(do frameworks.Do, n frameworks.Node) bool {
	switch do.Name {
	case seal:
		return m.Stage == sealing && do.Input == strconv.Itoa(m.Epoch)
	case promote:
		return m.Stage == promoting && do.Input == strconv.Itoa(m.Epoch) &&
			n.Name == m.Primary && n.Generation == m.Generation && n.Incarnation == m.Incarnation
	case yield:
		return m.Stage == yielding && do.Input == strconv.Itoa(m.Epoch)
	}
	return true // it makes nobody writable
}

// view is what a look saw: of each member that has a place.
type view struct {
	Members []member `json:"members"`
	// Following: when it began, somebody was being made to follow.
	Following bool `json:"following,omitempty"`
}

func (v view) of(node string) (member, bool) {
	i := slices.IndexFunc(v.Members, func(m member) bool { return m.Node == node && m.Err == "" })
	if i < 0 {
		return member{}, false
	}
	return v.Members[i], true
}

// failover is the routine that sees to it that there is one primary, and that
// all others follow it.
func (s set) failover() frameworks.RoutineOf[memory, view] {
	return frameworks.RoutineOf[memory, view]{
		Name: failoverName, Every: time.Second, Look: s.look, Decide: s.decide, Work: s.work,
	}
}

// decision is one call of decide.
type decision struct {
	set
	now time.Time
	d   frameworks.Deployment
	memory
	orders []frameworks.Order
}

// decide is pure.
func (s set) decide(now time.Time, d frameworks.Deployment, m memory, news frameworks.News[view]) (memory, []frameworks.Order) {
	c := &decision{set: s, now: now, d: d, memory: m}
	if news.Done != nil {
		c.done(*news.Done)
	}
	c.release()
	switch c.Stage {
	case steady:
		c.watch(news.View)
	case fencing:
		c.fenced()
	case promoting:
		c.expect()
	}
	if c.Stage == promoting && c.Alone {
		c.accompany(news.View)
	}
	switch c.Stage { // which may be another by now
	case sealing:
		c.work(frameworks.Do{Name: seal})
	case promoting:
		if c.Alone {
			break
		}
		c.work(frameworks.Do{Name: promote, Node: c.Primary, Timeout: 90 * time.Second})
	case yielding:
		c.work(frameworks.Do{Name: yield, Node: c.Primary})
	}
	return c.memory, c.orders
}

func (c *decision) order(o frameworks.Order) { c.orders = append(c.orders, o) }

// work orders a work of this epoch, unless one has just failed.
func (c *decision) work(do frameworks.Do) {
	if c.now.Before(c.Retry) {
		return
	}
	do.Input = strconv.Itoa(c.Epoch)
	c.order(do)
}

// release lets those start again that were fenced and whose end was seen: they
// start read-only.
func (c *decision) release() {
	for _, n := range c.d.Nodes {
		if n.Fenced && !n.Alive {
			c.order(frameworks.Allow{Node: n.Name})
			c.order(frameworks.Renew{Node: n.Name})
		}
	}
}

// watch looks after a set that has a primary, or waits for the first.
func (c *decision) watch(v *view) {
	if c.Epoch == 0 {
		c.begin(v)
		return
	}
	if !c.serving() {
		c.depose("its server has ended")
		return
	}
	if v == nil {
		return
	}
	primary, answers := v.of(c.Primary)
	switch {
	case !answers && c.dead(*v):
		c.depose("neither the scheduler nor a replica hears of it")
	case !answers: // perhaps the next look
	case !primary.Writable, !primary.Semisync, primary.Lapsed: // somebody else's doing, or a hand-over that failed
		c.Silent, c.Stage = time.Time{}, promoting
	default:
		c.Silent = time.Time{}
		c.tend(*v, primary)
	}
}

// begin elects the first primary, when all members of the first deployment
// answer.
func (c *decision) begin(v *view) {
	nodes := c.d.Pod(pod)
	if v == nil || len(nodes) == 0 || len(nodes) < c.d.First[pod] {
		return
	}
	members := map[string]int{}
	for _, n := range nodes {
		if _, ok := v.of(n.Name); !ok {
			return
		}
		members[n.Name] = n.Generation
	}
	c.Epoch, c.Stage, c.Members = 1, sealing, members
}

// serving says whether the task that was promoted may still run.
func (c *decision) serving() bool {
	n, ok := c.d.Node(c.Primary)
	return ok && n.Generation == c.Generation && n.Incarnation == c.Incarnation && n.Alive
}

// dead says whether a primary that does not answer is so for its replicas too,
// and for long enough.
func (c *decision) dead(v view) bool {
	if c.Silent.IsZero() {
		c.Silent = c.now
	}
	if c.now.Sub(c.Silent) < silence {
		return false
	}
	node, _ := c.d.Node(c.Primary)
	source, heard := node.Address(port), 0
	for _, m := range v.Members {
		if m.Err != "" {
			continue
		}
		if m.Receiving && m.Source == source {
			return false
		}
		heard++
	}
	return heard > 0
}

// depose begins a failover.
func (c *decision) depose(why string) {
	if c.Stage == promoting {
		// Perhaps it was not promoted at all, and still follows somebody.
		c.count()
	}
	c.Epoch++
	c.Stage, c.Silent, c.Failed, c.Retry, c.Next, c.Why = fencing, time.Time{}, 0, time.Time{}, "", why
	c.Impasse = nil
	c.order(frameworks.Note{Node: c.Primary, Text: "failover: " + why})
	if n, ok := c.d.Node(c.Primary); ok {
		c.order(frameworks.Name{Node: n.Name})
		if c.serving() {
			c.order(frameworks.Withhold{Node: n.Name})
			c.order(frameworks.Fence{Node: n.Name})
		}
	}
	c.fenced()
}

// count takes the primary for a member that may acknowledge.
func (c *decision) count() {
	members := map[string]int{c.Primary: c.Generation}
	for name, generation := range c.Members {
		if name != c.Primary {
			members[name] = generation
		}
	}
	c.Members = members
}

// fenced goes on when nothing of the old primary can act any more.
func (c *decision) fenced() {
	if n, ok := c.d.Node(c.Primary); ok && c.serving() && !n.Harmless(c.now) || len(c.Following) > 0 {
		return
	}
	c.Stage = sealing
}

// expect gives up a member that ended while it was promoted.
func (c *decision) expect() {
	if !c.serving() {
		c.depose("its server ended during its promotion")
	}
}

// done takes in how a work of this epoch ended.
func (c *decision) done(done frameworks.Done) {
	if node, ok := strings.CutPrefix(done.Name, follow); ok {
		c.followed(node, done)
		return
	}
	if done.Input != strconv.Itoa(c.Epoch) {
		return
	}
	if done.Err != "" {
		c.Retry, c.Why = c.now.Add(pause), done.Err
	}
	switch {
	case done.Name == admin && done.Err == "":
		c.Admin = done.Result
	case done.Name == seal && c.Stage == sealing && done.Err == "":
		c.choose(done.Result)
	case done.Name == yield && c.Stage == yielding:
		c.yielded(done.Err)
	case done.Name == promote && c.Stage == promoting && done.Result == applying:
		c.Retry, c.Why = c.now.Add(pause), c.Primary+" is elected, and applies what it received before it takes writes"
	case done.Name == promote && c.Stage == promoting && done.Err == "":
		c.Stage, c.Failed, c.Why = steady, 0, ""
		c.order(frameworks.Name{Node: c.Primary, Role: primaryRole})
	case done.Name == promote && c.Stage == promoting:
		if c.Failed++; c.Failed >= patience {
			c.depose("it could not be promoted: " + done.Err)
		}
	}
}

// choose elects among those that a seal has heard.
func (c *decision) choose(result string) {
	var heard view
	if err := json.Unmarshal([]byte(result), &heard); err != nil {
		c.Why, c.Retry = err.Error(), c.now.Add(pause)
		return
	}
	winner, err := c.elect(heard)
	if err == nil {
		c.crown(winner)
		return
	}
	c.Why, c.Retry, c.Impasse = err.Error(), c.now.Add(pause), c.impasse(heard, err)
	i := *c.Impasse
	if i.Best() != "" {
		c.Why += "; if they are gone for good, \"promote\" tells what it would cost to go on without them"
	}
	if winner = c.concede(); winner == "" {
		return
	}
	if c.crown(winner); c.Stage == promoting {
		c.Retry = time.Time{}
		c.forsake(i, heard)
	}
}

// elect is the election among what a seal has heard: only of members that have
// followed the last primary, or it itself, and only when no other can have what
// they lack.
func (c *decision) elect(heard view) (string, error) {
	var candidates []candidate
	there := map[string]bool{}
	for _, m := range heard.Members {
		known := c.Members[m.Node] == m.Generation || m.Node == c.Primary && m.Generation == c.Generation ||
			!c.Settled && m.Node == c.Former && m.Generation == c.FormerGeneration
		able := c.able(m)
		if m.Err != "" || m.Unsure || !known || m.Node == c.Primary && !able {
			continue
		}
		has, err := m.has(c.flavor)
		if err != nil {
			return "", err
		}
		there[m.Node] = true
		candidates = append(candidates, candidate{m.Node, has, able})
	}
	if there[c.Primary] {
		return c.Primary, nil // it has all that was acknowledged before it and by it
	}
	if missing := c.missing(there, heard); missing != "" {
		return "", errors.New(missing)
	}
	if c.Primary != "" && !c.Settled && !there[c.Former] {
		return "", fmt.Errorf("no replica is known to have caught up with %s after its promotion, so it has to be there; nobody else is promoted", c.Primary)
	}
	if c.set.elect != nil {
		return c.set.elect(candidates)
	}
	return elect(candidates)
}

// able says whether a member that answers could be promoted as things stand: one
// whose agent Mesos has lost sight of, or whose executor has no lease, would be
// ended soon, or by nobody.
func (c *decision) able(m member) bool {
	n, ok := c.d.Node(m.Node)
	return ok && n.Alive && n.Withheld.IsZero() && m.Task == taskName(n) && !m.Lapsed
}

// missing says who has to be heard, because what was acknowledged may be there
// alone; empty: all were.
func (c *decision) missing(there map[string]bool, heard view) string {
	var parts []string
	for _, name := range sortedKeys(c.Members) {
		if there[name] || name == c.Primary {
			continue
		}
		parts = append(parts, name+" "+c.absence(name, heard))
	}
	if len(parts) == 0 {
		return ""
	}
	text := strings.Join(parts, "; ")
	if c.Primary != "" {
		text += fmt.Sprintf("; nor is the last primary, %s, there: what was acknowledged could be on one of these alone, so nobody is promoted", c.Primary)
	}
	return text
}

// absence says what is the matter with a member that does not count.
func (c *decision) absence(name string, heard view) string {
	why := "is not there"
	for _, m := range heard.Members {
		switch {
		case m.Node != name:
		case m.Err != "":
			why = m.Err
		case m.Generation != c.Members[name]:
			why = "was replaced"
		case m.Unsure:
			why = "cannot tell what it received before it was started anew"
		}
	}
	return why
}

// crown makes a member the primary, whose promotion is then ordered.
func (c *decision) crown(winner string) {
	n, ok := c.d.Node(winner)
	if !ok || !n.Alive {
		c.Retry = c.now.Add(pause)
		return
	}
	was := c.Primary
	if winner != was {
		c.Former, c.FormerGeneration, c.Settled, c.Base = was, c.Generation, false, ""
	} else if !c.Settled {
		c.unsettle() // it may have acknowledged what the one before it does not have
	}
	c.Stage, c.Failed, c.Why, c.Next = promoting, 0, "", ""
	c.Primary, c.Generation, c.Incarnation = n.Name, n.Generation, n.Incarnation
	c.Members = maps.Clone(c.Members)
	delete(c.Members, winner)
	c.Told, c.Impasse = nil, nil
	c.order(frameworks.Note{Node: winner, Text: fmt.Sprintf("elected primary of epoch %d, after %q", c.Epoch, was)})
}
