package frameworks

import (
	"encoding/hex"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/executor"
)

// Goal is what an operator wants of a node.
type Goal string

// The goals.
const (
	GoalRun  Goal = "run"
	GoalStop Goal = "stop"
	// GoalLeave: it hands over what it holds, gives its place back, and is
	// forgotten.
	GoalLeave Goal = "leave"
)

// Node is one server with a name that it keeps: a broker, a ring member. It
// has at most one place at a time, and at most one task in it.
type Node struct {
	Name  string `json:"name"` // pod and index, such as "broker-0"
	Pod   string `json:"pod"`
	Index int    `json:"index"`
	Goal  Goal   `json:"goal"`

	// Home is the id of the agent that the node belongs to, where its pod is
	// Everywhere.
	Home string `json:"home,omitempty"`

	// Generation counts the node's places, from 1. It is part of the ids of
	// reservations and volumes, so that those of an old place are never taken
	// for those of the new one.
	Generation int `json:"generation"`
	// Founding is the generation in which the node was part of the pod's first
	// deployment; 0: it joined later. In a later generation its volumes are new.
	Founding int `json:"founding,omitempty"`
	// Arrived is the generation in which the node last became ready; 0: never.
	// Equal to Generation: its volumes hold a member of the service, which is
	// not to be formatted, bootstrapped or joined again.
	Arrived int `json:"arrived,omitempty"`
	// Finished is the configuration with which a task last ended well, where that
	// is its pod's Aim; empty: none has in this place.
	Finished string `json:"finished,omitempty"`
	// Former is the address of the place that a member gave up by a replace,
	// until it arrives anew: its peers may still know it by that.
	Former string `json:"former,omitempty"`
	// Place is nil until one is found.
	Place *Place `json:"place,omitempty"`
	// Incarnation counts the tasks, from 1; 0: never launched.
	Incarnation int `json:"incarnation"`
	// Config is a hash of what the last task was rendered from, Wanted of what it
	// would be rendered from now. A running node where they differ is out of date.
	Config string `json:"config,omitempty"`
	Wanted string `json:"wanted,omitempty"`
	// Skip is a wanted configuration that an operator does not want it to be
	// brought to. Excused: nor is it waited for to arrive.
	Skip    string `json:"skip,omitempty"`
	Excused bool   `json:"excused,omitempty"`
	// Progress is the last that the task said of itself: "formatted".
	Progress string `json:"progress,omitempty"`
	// Ready holds only while the task of this incarnation runs. ReadySince is
	// when the gate let it pass.
	Ready      bool      `json:"ready"`
	ReadySince time.Time `json:"ready_since,omitzero"`
	// Waits says why the gate has not let it pass yet.
	Waits string `json:"waits,omitempty"`

	// Failures in a row, until it has been ready for the longest pause.
	Failures    int       `json:"failures,omitempty"`
	LastFailure string    `json:"last_failure,omitempty"`
	Retry       time.Time `json:"retry,omitzero"` // not launched before

	// Past are the last failures, newest first.
	Past []Failure `json:"past,omitempty"`
	// Runs are those of the engine's own plans that it was last a step of.
	Runs map[string]int `json:"runs,omitempty"`
	// Late is when it was last found not to get ready with a new configuration.
	Late time.Time `json:"late,omitzero"`

	// Doubts counts how often in a row the gate of a ready node said no.
	Doubts int `json:"doubts,omitempty"`
	// Admitted is when the pod's Join let the node be launched; it holds for a
	// minute.
	Admitted time.Time `json:"admitted,omitzero"`

	// Lost is since when its agent cannot be reached, or does not offer its
	// place although that is sought; zero: it is not. Gone: an operator declared the agent gone.
	Lost time.Time `json:"lost,omitzero"`
	Gone bool      `json:"gone,omitempty"`

	// Left are tasks of places given up while their agents were out of reach.
	// Nothing is launched while one of them is known to run.
	Left []string `json:"left,omitempty"`

	// Restart: the operator wants the task ended and a new one in its place.
	Restart bool `json:"restart,omitempty"`
	// Replace: the operator wants a new place, and the old one's data gone.
	Replace bool `json:"replace,omitempty"`

	// Role is what the domain calls the node, such as "primary"; a routine
	// names it.
	Role string `json:"role,omitempty"`
	// Fenced: a routine wants nothing of it to run, the one of that name.
	Fenced   bool   `json:"fenced,omitempty"`
	FencedBy string `json:"fenced_by,omitempty"`
	// Alive: a task was launched, and nobody has seen it end.
	Alive bool `json:"alive,omitempty"`
	// Lease is that of the task launched last; nil: it had none.
	Lease *executor.Lease `json:"lease,omitempty"`
	// Withhold: a routine wants the lease not to be granted.
	Withhold bool `json:"withhold,omitempty"`
	// Releasing: the place is given away as soon as the lease is over.
	Releasing bool `json:"releasing,omitempty"`
	// Withheld is since when the lease is not granted; zero: it is.
	Withheld time.Time `json:"withheld,omitzero"`
	// Forced: the operator wants that whatever the service can spare.
	Forced bool `json:"forced,omitempty"`
	// Spared: the service can spare the node for the stop that it is about to
	// make. It ends with the task.
	Spared bool `json:"spared,omitempty"`
	// Out is since when the node is down on purpose: until it is ready again.
	Out time.Time `json:"out,omitzero"`
	// Departed: what a leaving node held has been handed over.
	Departed bool `json:"departed,omitempty"`

	// task is the id of its task, for the incarnation that the record has.
	task taskName
}

// taskName is the id of a task, made once because it is asked for so often.
type taskName struct {
	incarnation int
	id          string
}

func incarnate(service string, n *Node) taskName {
	return taskName{n.Incarnation, fmt.Sprintf("%s.%s.%d", service, n.Name, n.Incarnation)}
}

// Place is where a node lives: reserved resources, ports and volumes of one
// agent.
type Place struct {
	Agent    string `json:"agent"`
	Hostname string `json:"hostname"`
	// Address is where peers reach it: the agent's address as it was offered last,
	// or else its hostname. It follows when the agent comes back with another.
	Address    string            `json:"address"`
	Attributes []mesos.Attribute `json:"attributes,omitempty"`
	Domain     *mesos.DomainInfo `json:"domain,omitempty"`
	// Resources as they are once reserved: what the task consumes.
	Resources []mesos.Resource  `json:"resources"`
	Ports     map[string]uint64 `json:"ports,omitempty"`
	// Shape is what the place was made of, as text. Room is reserved beside it for
	// another that is larger, and becomes part of it with the next launch.
	Shape string `json:"shape,omitempty"`
	Room  *Room  `json:"room,omitempty"`
	// Before are the resources of before a change, until a task has run after it:
	// a master offers what it has only asked the agent for.
	Before []mesos.Resource `json:"before,omitempty"`
	// Extra is reserved beside it, and becomes part of it with the next launch.
	// Extending is when that was last sent, Short why the agent has no room for it.
	Extra     *Extra    `json:"extra,omitempty"`
	Extending time.Time `json:"extending,omitzero"`
	Short     string    `json:"short,omitempty"`
	// Retired are its volumes that a rollback has left out. They keep their data
	// until the place is given up, or the options have them again.
	Retired []string `json:"retired,omitempty"`
	// Asked is when the reservation was last sent.
	Asked time.Time `json:"asked"`
	// Reserved: the reservation was seen in an offer. That does not prove that
	// the agent has it: a master offers what it has only asked the agent for.
	Reserved bool `json:"reserved"`
	// Used: a task began here, so that the volumes may hold data. From then on
	// nothing is reserved or created again for this place.
	Used bool `json:"used"`
	// Doubtful: a task was launched here, and nobody knows whether it began. The
	// place is not given up for another then; but what its agent, when it comes
	// back, has nothing of is reserved and created again.
	Doubtful bool `json:"doubtful,omitempty"`
}

// kept says whether the place may hold data.
func (p *Place) kept() bool { return p.Used || p.Doubtful }

// Founder says whether the node still has the place, and the volumes, of the
// pod's first deployment.
func (n Node) Founder() bool { return n.Founding > 0 && n.Founding == n.Generation }

// Attribute returns the value of a text or scalar attribute of the agent; empty
// where there is none.
func (p *Place) Attribute(name string) string {
	for _, a := range p.Attributes {
		switch {
		case a.Name != name:
		case a.Text != nil:
			return a.Text.Value
		case a.Scalar != nil:
			return strconv.FormatFloat(a.Scalar.Value, 'f', -1, 64)
		}
	}
	return ""
}

// agent says what constraints see of the place.
func (p *Place) agent() constraints.Agent {
	return constraints.AgentOf(p.Hostname, p.Attributes, p.Domain)
}

// Address returns host:port of a port of the node; empty while the node has no
// place or no such port.
func (n Node) Address(port string) string {
	if n.Place == nil || n.Place.Ports[port] == 0 {
		return ""
	}
	return net.JoinHostPort(n.Place.Address, strconv.FormatUint(n.Place.Ports[port], 10))
}

// Outdated says whether the node runs what was rendered from a configuration
// that is no longer wanted.
func (n Node) Outdated() bool {
	return n.Config != "" && n.Wanted != "" && n.Config != n.Wanted && n.Skip != n.Wanted
}

// arrived says whether the node's volumes hold a member.
func (n *Node) arrived() bool { return n.Arrived == n.Generation }

func newNode(pod string, index int, after past) *Node {
	return &Node{
		Name: nodeName(pod, index), Pod: pod, Index: index, Goal: GoalRun,
		Generation: after.Generation + 1, Incarnation: after.Incarnation,
	}
}

func nodeName(pod string, index int) string { return fmt.Sprintf("%s-%d", pod, index) }

// taskID numbers the incarnations, so that an old task's update never touches
// the new one.
func (s *Service) taskID(n *Node) string {
	if n.task.incarnation == n.Incarnation && n.task.id != "" {
		return n.task.id
	}
	return incarnate(s.Name, n).id
}

// nextTaskID is that of the task to be launched next.
func (s *Service) nextTaskID(n *Node) string {
	return fmt.Sprintf("%s.%s.%d", s.Name, n.Name, n.Incarnation+1)
}

// owner splits a task id of this service.
func (s *Service) owner(taskID string) (node string, incarnation int, ok bool) {
	rest, ok := strings.CutPrefix(taskID, s.Name+".")
	if !ok {
		return "", 0, false
	}
	node, number, ok := strings.Cut(rest, ".")
	if !ok {
		return "", 0, false
	}
	incarnation, err := strconv.Atoi(number)
	return node, incarnation, err == nil
}

// resourceID names a place: the label that ties its reservations to it, and the
// head of its volumes' ids. Its last part differs by deployment: a scheduler
// that lost its store, or a second one of the same name, never takes what
// another reserved for its own, nor gives it back.
func (d *decision) resourceID(n *Node) string {
	return fmt.Sprintf("%s.%s.%d-%s", d.Name, n.Name, n.Generation, d.deploymentMark())
}

func (d *decision) deploymentMark() string {
	mark := d.view.Random(d.Name + "/place")
	return hex.EncodeToString(mark[:4])
}

// The labels of every reservation.
const (
	labelService  = "service"
	labelNode     = "node"
	labelResource = "resource_id"
)

func (d *decision) labels(n *Node) []mesos.Label {
	id := d.resourceID(n)
	return []mesos.Label{
		{Key: labelService, Value: &d.Name},
		{Key: labelNode, Value: &n.Name},
		{Key: labelResource, Value: &id},
	}
}
