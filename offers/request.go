package offers

import (
	"errors"
	"fmt"
	"path"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/constraints"
)

// Request is what one node wants of one agent.
type Request struct {
	Node string // how the report calls it: "broker-2"
	Pod  string // its pod type, "broker": requests of one type count as peers

	// Role and Principal are those of the reservation. An empty role is the
	// one that the offer is allocated to.
	Role, Principal string

	// Group names nodes that are placed all or none; empty: the node alone.
	Group string

	// Labels are put on every reservation and tie it to its owner (service,
	// node, resource_id). What is already reserved with these very labels is
	// the node's own, and taken first. Without labels nothing is its own.
	Labels []mesos.Label

	Needs   Resources // of everything but ports and volumes: "cpus:0.5;mem:1024"
	Ports   []Port
	Volumes []Volume

	// Unreserved takes resources as they are offered, for a task that keeps
	// nothing behind: the match has no operations.
	Unreserved bool
	// Revocable takes, of each scalar in Needs, revocable resources where they
	// suffice: Mesos may end the task to have them back. It wants Unreserved.
	Revocable bool

	Place     constraints.Rules
	Placed    []constraints.Agent // what Place counts: agents of the peers that are placed already
	Others    []Other             // what rules on other pod types count
	Instances int                 // how many peers there shall be in the end; zero: nobody asks
	Home      string              // the master's region, in which agents have to be unless Place says where; empty: any

	Agent  string // the id of the only agent to look at; empty: any
	Last   string // the id of the agent that it was on before: preferred among those that rules rank alike
	Prefer Preference

	// Operation, if set, begins the ids of the operations of the match, so that
	// Mesos reports what became of each: "<Operation>.reserve", "<Operation>.create".
	Operation string
}

// Preference ranks the agents that fit, after what is said at [Request] and by
// the rules. Ties go by agent id.
type Preference int8

// Pack and Spread look at what is free of the lead resource: cpus, or the first
// by name where cpus are not asked for.
const (
	Any    Preference = iota // the first by id
	Pack                     // where least is free
	Spread                   // where most is free
)

// Other is a task of another pod type that is placed already.
type Other struct {
	Pod   string
	Agent constraints.Agent
}

// Port is one port of a node: from a range, or from all that are offered when
// both ends are zero.
type Port struct {
	Name       string // unique in the node; "http"
	Begin, End uint64 // both included; equal: this very port
}

// bounds are the ends of the range, with the meaning of zero applied.
func (p Port) bounds() (begin, end uint64) {
	if p.open() {
		return 0, 1<<64 - 1
	}
	return p.Begin, p.End
}

func (p Port) open() bool { return p.Begin == 0 && p.End == 0 }

// String is such as "client (9092)", "client (9092-9099)" or "client (any)".
func (p Port) String() string {
	switch {
	case p.open():
		return p.Name + " (any)"
	case p.Begin == p.End:
		return fmt.Sprintf("%s (%d)", p.Name, p.Begin)
	default:
		return fmt.Sprintf("%s (%d-%d)", p.Name, p.Begin, p.End)
	}
}

// Volume is a persistent volume: it outlives the tasks that use it.
type Volume struct {
	ID   string // persistence id, unique per role on an agent
	Path string // where the task sees it: relative to its sandbox
	Size Amount // MiB; of a MOUNT disk the least, for such a disk is taken whole
	Disk DiskType

	// Profile is that of the disk, where a storage provider gives it one;
	// empty: only disks without.
	Profile string
	// Shared lets several tasks use the volume at once. One that exists is
	// used whoever of the role made it.
	Shared bool
}

// String is such as "volume data on MOUNT disk of profile fast".
func (v Volume) String() string {
	text := "volume " + v.ID + " on " + v.Disk.String() + " disk"
	if v.Profile != "" {
		text += " of profile " + v.Profile
	}
	return text
}

// DiskType is the kind of disk that a volume is made on
// (Resource.DiskInfo.Source.Type); the zero value is the agent's root disk.
type DiskType int8

// The disks that Mesos makes persistent volumes on.
const (
	RootDisk  DiskType = iota // the agent's work directory
	PathDisk                  // a directory that several volumes share
	MountDisk                 // a file system of its own, always taken whole
	BlockDisk                 // a device without file system, always taken whole: reserved, but no volume is made on it
)

// String is the name that Mesos's documentation uses.
func (t DiskType) String() string {
	names := [...]string{"root", "PATH", "MOUNT", "BLOCK"}
	if t < 0 || int(t) >= len(names) {
		return fmt.Sprintf("DiskType(%d)", int8(t))
	}
	return names[t]
}

// DiskTypeOf is the disk that a resource is on; false: one of another kind.
func DiskTypeOf(r *mesos.Resource) (DiskType, bool) {
	source := r.GetDisk().GetSource()
	if source == nil {
		return RootDisk, true
	}
	switch source.Type {
	case mesos.Resource_DiskInfo_Source_PATH:
		return PathDisk, true
	case mesos.Resource_DiskInfo_Source_MOUNT:
		return MountDisk, true
	case mesos.Resource_DiskInfo_Source_BLOCK:
		return BlockDisk, true
	default:
		return 0, false
	}
}

// Validate says what is wrong with the request itself, whatever is offered.
func (r *Request) Validate() error {
	problems := []error{r.validateRole()}
	for _, q := range r.Needs.items {
		if q.name == "ports" {
			problems = append(problems, invalid("Needs", "ports %s: ports belong in Ports, by name", q.value()))
		}
		if q.scalar < 0 {
			problems = append(problems, invalid("Needs", "%s: %v is below zero", q.name, q.scalar))
		}
	}
	names := map[string]bool{}
	for _, p := range r.Ports {
		switch begin, end := p.bounds(); {
		case p.Name == "" || names[p.Name]:
			problems = append(problems, invalid("Ports", "name %q is empty or comes twice", p.Name))
		case begin > end:
			problems = append(problems, invalid("Ports", "%s: %d-%d ends before it begins", p.Name, begin, end))
		}
		names[p.Name] = true
	}
	ids := map[string]bool{}
	for _, v := range r.Volumes {
		problems = append(problems, v.validate())
		if ids[v.ID] {
			problems = append(problems, invalid("Volumes", "ID %q comes twice", v.ID))
		}
		ids[v.ID] = true
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("request of %q: %w", r.Node, err)
	}
	return nil
}

// invalid says which field is wrong, with which value, and what would be right.
func invalid(field, format string, args ...any) error {
	return fmt.Errorf(field+": "+format, args...)
}

func (r *Request) validateRole() error {
	switch {
	case r.Role == "*" && !r.Unreserved:
		return invalid("Role", `"*" cannot be reserved for; name the framework's own role`)
	case r.Revocable && !r.Unreserved:
		return invalid("Revocable", "such resources cannot be reserved; set Unreserved too")
	case r.Unreserved && len(r.Volumes) > 0:
		return invalid("Unreserved", "a volume needs a reservation")
	case r.Prefer < Any || r.Prefer > Spread:
		return invalid("Prefer", "%d is none of Any, Pack, Spread", r.Prefer)
	}
	return nil
}

func (v Volume) validate() error {
	switch {
	case v.ID == "" || v.ID != path.Base(v.ID) || v.ID == "." || v.ID == "..":
		return invalid("Volumes", "ID %q is not one name of a directory", v.ID)
	case v.Path == "" || strings.HasPrefix(v.Path, "/") || path.Clean(v.Path) == ".." || strings.HasPrefix(path.Clean(v.Path), "../"):
		return invalid("Volumes", "%s: Path %q is not inside the sandbox: give a relative path such as data", v.ID, v.Path)
	case v.Size <= 0:
		return invalid("Volumes", "%s: Size %v is not above zero (MiB)", v.ID, v.Size)
	case v.Disk < RootDisk || v.Disk > BlockDisk:
		return invalid("Volumes", "%s: Disk %d is none of RootDisk, PathDisk, MountDisk, BlockDisk", v.ID, v.Disk)
	case v.Disk == RootDisk && v.Profile != "":
		return invalid("Volumes", "%s: Profile %q: the root disk has none", v.ID, v.Profile)
	case v.Disk == BlockDisk && v.Shared:
		return invalid("Volumes", "%s: Shared: a BLOCK disk holds no volume to share", v.ID)
	}
	return nil
}
