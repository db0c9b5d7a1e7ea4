package frameworks

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-multierror"
	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/offers"
)

// Service declares what is to run. It is the handler of a scheduler: give it
// to scheduler.Run, and what it declares is brought about and kept so.
type Service struct {
	// Name is part of every task id and label; lower case letters, digits and
	// hyphens.
	Name string
	// Role owns the reservations; empty: Name.
	Role string
	// Principal is written into the reservations; empty where the master does
	// not authenticate.
	Principal string
	// User runs the tasks; empty: the scheduler's user.
	User string
	Pods []Pod
	// Recheck is how often the gate of a node that is ready is asked again; zero:
	// 15 seconds. A node is ready no more when it says no twice in a row.
	Recheck time.Duration
	// Binary is this framework's own program, as the agents get it. Pods with
	// a Task need it.
	Binary Binary
	// Routines go on as long as the service lives: failover, and whatever else
	// the domain decides by itself.
	Routines []Routine
	// Options are what Revise made this service of: those that the program was
	// started with. When it is started with others, what differs is an Update.
	Options json.RawMessage
	// Revise makes the service of other options, for an Update while it runs. It
	// is pure. Nil: the service is as it is declared.
	Revise func(options json.RawMessage) (*Service, error)
	// Change says why options must not follow upon others; nil error: they may.
	// What would lose volumes or identities is refused without it. A pure
	// function; nil: they always may.
	Change func(d Deployment, from, to json.RawMessage) error
	// Schema describes the options to operators; see OptionsOf, which makes Options,
	// Revise, Change and this of a type.
	Schema []Option
	// Plans are what operators, or a time-table, start: backups, repairs.
	Plans []Plan
	// Invalid is what a framework found wrong with its own declaration, of
	// which this service was made; Validate reports it.
	Invalid error

	// unmade is why the program does not make this service; it has only a name.
	unmade  error
	revised *revision
	memo    *memo
}

// Binary says where agents find the program that supervises servers: the
// framework's own binary.
type Binary struct {
	// URI is fetched into the sandbox of each task; see OwnBinary.
	URI string
	// Path is a program that every agent already has. URI goes first.
	Path string
	// SHA256 is that of the program at URI, in hex: another is not run. A shell on
	// the agent checks it, with sha256sum or shasum, where the pod has no
	// Container.Image. Empty: it is not checked.
	SHA256 string
}

// Pod is a kind of node: so many servers that differ by their index only.
type Pod struct {
	Name string
	// Count is how many nodes there are at the first deployment; from then on
	// the store knows, and ScalePod changes it. At most 1000.
	Count int
	// Everywhere: in place of Count, one node on every agent that Place allows. It
	// comes when the agent is first offered, and leaves when the agent is gone for
	// good, as Recovery has it, or matches no more. Pods that come After it wait
	// for its first node, and for those that there are. Where Spare is nil, as
	// many nodes stop at once as Rollout.Parallel says: each serves its own agent.
	Everywhere bool
	// Needs are the scalars of each node, such as "cpus:1;mem:2048" (MiB).
	Needs offers.Resources
	// Limits are the most that a task may use beyond its needs: cpus and mem, such
	// as "cpus:4;mem:4096". Agents know them since Mesos 1.10. Empty: its needs.
	Limits  offers.Resources
	Ports   []Port
	Volumes []Volume
	// Fetch is brought into the sandbox before the task starts.
	Fetch []URI
	// Container is what a task runs in; zero: the agent's own file system and
	// network.
	Container Container
	// Discovery is what is published of each node besides its name and its ports.
	Discovery Discovery
	// Place says which agents will do, counting the pod's other nodes.
	Place constraints.Rules
	// Aim is what the tasks come to; AimRun: they serve.
	Aim Aim
	// Together reserves the places of all nodes before the first is launched:
	// for servers whose configuration names every peer.
	Together bool

	// After names pods whose nodes must all have arrived once before a node of
	// this pod is launched that has not.
	After []string
	// Serial launches nodes that have not arrived in their place one at a time,
	// at first by index.
	Serial bool
	// Join asks the nodes that are there before one is launched that has not
	// arrived in its place: is anybody else joining, leaving or moving? It
	// implies Serial. Nil: nobody is asked.
	Join Gate

	// Command is run by a shell. It is told its address in $HOST, port p in
	// $PORT_P, its name in $NODE, its index in $NODE_INDEX, and the service's
	// name in $SERVICE. Either Command or Task.
	Command string
	// Task renders what the executor supervises: a pure function of the
	// deployment and the node.
	Task func(d Deployment, n Node) (executor.Task, error)

	// Secrets are the names of passwords and keys that the nodes get: each is
	// made once for the whole service and kept in the store. A Task says in its
	// Secrets which file holds which; they reach it by a message, and are in no
	// TaskInfo, label, log or status.
	Secrets []string
	// Essence returns what counts of a task: where that changes, a node that runs
	// is out of date, and is rolled. Of what a node needs only at its first start,
	// or learns of its peers while it runs, nothing should be left. Nil: all of
	// it counts. The task it is given was rendered as if every node had arrived.
	Essence func(executor.Task) executor.Task
	// Rollout is how nodes that are out of date are updated.
	Rollout Rollout
	// Spare asks whether the service can do without nodes that are to stop on
	// purpose: for an update, a restart, a replace, a drain, or to leave. It is
	// not asked for nodes that are not ready. Nil: one node at a time, and only
	// while all others of the pod are ready.
	Spare Spare
	// Leave hands over what a node that is to leave holds, while it still runs:
	// decommission it. It is called until it returns nil; what it does may be
	// repeated. It is called for nodes that run beside members as well, and have
	// not arrived: they may have joined. A member that serves nobody, and is out of
	// date, is restarted meanwhile: it may have to learn where its peers are, before it
	// can hand over. Nil: nothing is to be handed over.
	Leave Gate
	// Removable says why these nodes must not leave, such as a replication factor
	// that the rest could not keep; nil error: they may. A pure function; nil: always.
	Removable func(d Deployment, nodes []Node) error

	// Addable says why the pod must not have so many nodes more, such as a quorum
	// whose members the configuration of all others names; nil error: it may. A
	// pure function; nil: always.
	Addable func(d Deployment, more int) error

	// Ready asks whether a running node serves; nil: it does once it runs and
	// its own probe, if it has one, passes.
	Ready Gate
	// Replaceable says why a node must not give up its place, and all that is
	// on it, as things stand; nil error: it may. A pure function; nil: always.
	Replaceable func(d Deployment, n Node) error
	// Recovery is what becomes of nodes that are lost.
	Recovery Recovery
	// Backoff paces restarts in place.
	Backoff Backoff
	// Grace is how long a node may take to stop; zero: 30 seconds.
	Grace time.Duration
}

// Port is a port that a node listens on. Once reserved it is kept for the life
// of the place. Begin and End bound the choice; both zero: any.
type Port struct {
	Name       string
	Begin, End uint64
	// Container is the port inside of a Container.Network that it is mapped to,
	// and that $PORT_… then says; zero: it is not mapped.
	Container uint64
	// Protocol is "tcp" or "udp", for that and for Discovery; empty: not said.
	Protocol string
}

// Volume is a persistent directory of a node, kept until the node is replaced.
type Volume struct {
	Name string
	Path string // relative to the sandbox
	// Size in MiB; of a MOUNT disk the least, for such a disk is taken whole. A
	// volume on a ROOT or a PATH disk grows in place, at the node's next restart,
	// and shrinks where Update.Shrink allows it.
	Size offers.Amount
	// Disk is what it is made on; zero: the agent's root disk.
	Disk offers.DiskType
	// Profile is that of the disk, where a storage provider gives it one.
	Profile string
}

// Backoff is how long a node that failed n times in a row waits: First, and
// twice as long each time up to Max. Zero: 1 second and 5 minutes.
type Backoff struct{ First, Max time.Duration }

func (b Backoff) withDefaults() Backoff {
	return Backoff{First: cmp.Or(b.First, time.Second), Max: cmp.Or(b.Max, 5*time.Minute)}
}

func (b Backoff) after(failures int) time.Duration {
	b = b.withDefaults()
	if failures < 1 {
		return 0
	}
	wait := b.First
	for range failures - 1 {
		if wait *= 2; wait >= b.Max {
			return b.Max
		}
	}
	return min(wait, b.Max)
}

var hash = regexp.MustCompile(`^[0-9a-f]{64}$`)

var name = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

// Validate says what of the declaration cannot be: all of it at once, field by
// field.
func (s *Service) Validate() error {
	var errs *multierror.Error
	bad := func(field string, value any, want string) {
		errs = multierror.Append(errs, fmt.Errorf("%s: %#v: %s", field, value, want))
	}
	if !name.MatchString(s.Name) {
		bad("Service.Name", s.Name, "wants lower case letters, digits and hyphens, such as \"kafka\"")
	}
	if s.Role == "*" || strings.ContainsAny(s.Role, " \t\\") || strings.HasPrefix(s.Role, "-") {
		bad("Service.Role", s.Role, "wants a role of its own, which reservations can be made for, such as \"kafka\"")
	}
	if len(s.Pods) == 0 {
		bad("Service.Pods", s.Pods, "wants at least one pod")
	}
	seen := map[string]bool{}
	for i, p := range s.Pods {
		field := fmt.Sprintf("Service.Pods[%d]", i)
		if seen[p.Name] {
			bad(field+".Name", p.Name, "wants a name that no other pod has")
		}
		seen[p.Name] = true
		errs = multierror.Append(errs, p.validate(field)...)
		if sum := s.Binary.SHA256; sum != "" && (s.Binary.URI == "" || !hash.MatchString(sum)) && i == 0 {
			bad("Service.Binary.SHA256", sum, "wants 64 hexadecimal digits in lower case, of what is at URI")
		}
		if p.Task != nil && s.Binary == (Binary{}) {
			bad("Service.Binary", "", "wants the program that supervises pod "+p.Name+"; see OwnBinary")
		}
	}
	errs = multierror.Append(errs, s.validateRoutines()...)
	for i, p := range s.Pods {
		for _, after := range p.After {
			if after == p.Name || s.pod(after) == nil {
				bad(fmt.Sprintf("Service.Pods[%d].After", i), after, "wants another pod of the service")
			}
		}
		if circle := s.circle(p.Name, p.Name); circle != "" {
			bad(fmt.Sprintf("Service.Pods[%d].After", i), circle, "wants an order without a circle")
			break
		}
	}
	if s.Revise != nil && !json.Valid(s.Options) {
		bad("Service.Options", string(s.Options), "wants the JSON that Revise made the service of")
	}
	if s.Recheck < 0 {
		bad("Service.Recheck", s.Recheck, "wants a duration of 0 or more")
	}
	errs = multierror.Append(errs, s.validatePlans()...)
	if s.Invalid != nil {
		errs = multierror.Append(errs, s.Invalid)
	}
	return errs.ErrorOrNil()
}

// circle returns a way from a pod to another along After, the other first, or
// nothing. (It ends, because of two pods of a circle one is found first.)
func (s *Service) circle(from, to string) string {
	var walk func(at, way string, seen map[string]bool) string
	walk = func(at, way string, seen map[string]bool) string {
		p := s.pod(at)
		if p == nil || seen[at] {
			return ""
		}
		seen[at] = true
		for _, next := range p.After {
			if next == to {
				return way + " → " + to
			}
			if found := walk(next, way+" → "+next, seen); found != "" {
				return found
			}
		}
		return ""
	}
	return walk(from, from, map[string]bool{})
}

func (p Pod) validate(field string) []error {
	var errs []error
	bad := func(name string, value any, want string) {
		errs = append(errs, fmt.Errorf("%s.%s: %#v: %s", field, name, value, want))
	}
	if !name.MatchString(p.Name) {
		bad("Name", p.Name, "wants lower case letters, digits and hyphens, such as \"broker\"")
	}
	if p.Count < 0 || p.Count > maxNodes {
		bad("Count", p.Count, fmt.Sprintf("wants 0 to %d", maxNodes))
	}
	if p.Everywhere && (p.Count != 0 || p.Together) {
		bad("Everywhere", p.Everywhere, "wants a Count of 0 and no Together: the agents decide how many nodes there are")
	}
	p.validateAim(bad)
	p.validateFetch(bad)
	p.validateContainer(bad)
	if (p.Command == "") == (p.Task == nil) {
		bad("Command", p.Command, "wants either Command or Task, not both and not neither")
	}
	if p.Grace < 0 {
		bad("Grace", p.Grace, "wants a duration of 0 or more")
	}
	if b := p.Backoff.withDefaults(); b.First < 0 || b.Max < b.First {
		bad("Backoff", p.Backoff, "wants durations of 0 or more, and First no longer than Max")
	}
	for i, secret := range p.Secrets {
		if !name.MatchString(secret) || slices.Contains(p.Secrets[:i], secret) {
			bad(fmt.Sprintf("Secrets[%d]", i), secret, "wants lower case letters, digits and hyphens, and a name that no other secret of the pod has")
		}
	}
	if len(p.Secrets) > 0 && p.Task == nil {
		bad("Secrets", p.Secrets, "wants a Task, whose executor writes them: Mesos's own gets none")
	}
	p.Recovery.validate(bad)
	p.Rollout.validate(bad)
	p.validatePorts(bad)
	p.validateVolumes(bad)
	return errs
}

func (p Pod) validatePorts(bad func(field string, value any, want string)) {
	ports := map[string]bool{}
	for i, port := range p.Ports {
		if !name.MatchString(port.Name) || ports[port.Name] {
			bad(fmt.Sprintf("Ports[%d].Name", i), port.Name, "wants lower case letters, digits and hyphens, and a name that no other port of the pod has")
		}
		ports[port.Name] = true
		if port.Begin > port.End || port.End > 65535 {
			bad(fmt.Sprintf("Ports[%d]", i), fmt.Sprintf("%d-%d", port.Begin, port.End), "wants begin ≤ end ≤ 65535")
		}
	}
}

func (p Pod) validateVolumes(bad func(field string, value any, want string)) {
	volumes := map[string]bool{}
	for i, vol := range p.Volumes {
		if !name.MatchString(vol.Name) || volumes[vol.Name] {
			bad(fmt.Sprintf("Volumes[%d].Name", i), vol.Name, "wants a name that no other volume of the pod has")
		}
		volumes[vol.Name] = true
		if vol.Path == "" || strings.HasPrefix(vol.Path, "/") || strings.Contains(vol.Path, "..") {
			bad(fmt.Sprintf("Volumes[%d].Path", i), vol.Path, "wants a path inside the sandbox, such as \"data\"")
		}
		if slices.ContainsFunc(p.Volumes[:i], func(v Volume) bool { return path.Clean(v.Path) == path.Clean(vol.Path) }) {
			bad(fmt.Sprintf("Volumes[%d].Path", i), vol.Path, "wants a path that no other volume of the pod has")
		}
		if vol.Size <= 0 {
			bad(fmt.Sprintf("Volumes[%d].Size", i), vol.Size.String(), "wants a size in MiB")
		}
	}
}

// maxNodes bounds a pod: more would be a slip of the hand.
const maxNodes = 1000

func (p *Pod) grace() time.Duration { return cmp.Or(p.Grace, 30*time.Second) }

func (s *Service) role() string {
	if s.Role == "" {
		return s.Name
	}
	return s.Role
}

// Framework describes the service to the master.
func (s *Service) Framework() mesos.FrameworkInfo {
	info := mesos.FrameworkInfo{Name: s.Name, User: s.User, Roles: []string{s.role()}}
	if s.Principal != "" {
		info.Principal = &s.Principal
	}
	return info
}

func (s *Service) pod(name string) *Pod {
	for i := range s.Pods {
		if s.Pods[i].Name == name {
			return &s.Pods[i]
		}
	}
	return nil
}
