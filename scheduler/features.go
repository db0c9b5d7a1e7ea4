package scheduler

import (
	"fmt"
	"strconv"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// Feature is something that masters can do since some version of Mesos, and that
// a handler can do without.
type Feature int

// The features, with the version that brought each. Those of reservations,
// volumes and partitions are older than the oldest master that Run takes.
const (
	// VolumeResizing grows and shrinks persistent volumes. Mesos 1.6.
	VolumeResizing Feature = iota
	// OperationFeedback tells the outcome of operations on an agent's own
	// resources. Mesos 1.8. Without it the machine sends operations without
	// their ids, and there is no OperationUpdated: the next offer tells.
	OperationFeedback
	// FrameworkUpdates change a registration while it lasts. Mesos 1.9. Without
	// it what Register and Want.Only say counts from the next subscription.
	FrameworkUpdates
	// AgentDraining lets an operator empty an agent. Mesos 1.9.
	AgentDraining
	// QuotaLimits bound what a role gets. Mesos 1.9.
	QuotaLimits
	// TaskLimits let a task use more than it was given (TaskInfo.limits). Mesos
	// 1.10. An older master passes them over.
	TaskLimits
	// OfferConstraints make the master hold back offers of agents that are of no
	// use; see Want.Only. Mesos 1.11. An older master offers them all.
	OfferConstraints
)

// quotaV2 is the capability QUOTA_V2, for which mesos-go has no name.
const quotaV2 mesos.MasterInfo_Capability_Type = 3

// features are the versions of Mesos that brought each, and the capability by
// which a master says so, where there is one.
var features = [...]struct {
	name       string
	since      version
	capability mesos.MasterInfo_Capability_Type
}{
	VolumeResizing:    {name: "resizing of volumes", since: version{1, 6}},
	OperationFeedback: {name: "operation feedback", since: version{1, 8}},
	FrameworkUpdates:  {name: "updates of a framework", since: version{1, 9}},
	AgentDraining:     {"draining of agents", version{1, 9}, mesos.MasterInfo_Capability_AGENT_DRAINING},
	QuotaLimits:       {"quota limits", version{1, 9}, quotaV2},
	TaskLimits:        {name: "limits of tasks", since: version{1, 10}},
	OfferConstraints:  {name: "offer constraints", since: version{1, 11}},
}

func (f Feature) String() string {
	if f < 0 || int(f) >= len(features) {
		return fmt.Sprintf("Feature(%d)", int(f))
	}
	return features[f].name
}

// Master is the master that took the last subscription, as it describes itself.
type Master struct {
	Hostname     string                             `json:"hostname,omitempty"`
	Version      string                             `json:"version,omitempty"` // such as "1.11.0"; empty where it does not say
	Capabilities []mesos.MasterInfo_Capability_Type `json:"-"`
}

func masterOf(info *mesos.MasterInfo) Master {
	m := Master{Hostname: info.GetHostname(), Version: info.GetVersion()}
	for _, c := range info.GetCapabilities() {
		m.Capabilities = append(m.Capabilities, c.Type)
	}
	return m
}

// Has says whether the master has a feature. One that says no version that can
// be read is taken for a new one.
func (m Master) Has(f Feature) bool {
	have, ok := parseVersion(m.Version)
	if !ok {
		return true
	}
	need := features[f]
	for _, c := range m.Capabilities {
		if need.capability != 0 && c == need.capability {
			return true
		}
	}
	return need.capability == 0 && !have.before(need.since)
}

// Lacks are the features that the master does not have.
func (m Master) Lacks() []Feature {
	var missing []Feature
	for i := range features {
		if f := Feature(i); !m.Has(f) {
			missing = append(missing, f)
		}
	}
	return missing
}

// version is the first two numbers of one of Mesos.
type version [2]int

func parseVersion(s string) (v version, ok bool) {
	parts := strings.SplitN(s, ".", 3)
	if len(parts) < 2 {
		return v, false
	}
	for i := range v {
		n, err := strconv.Atoi(parts[i])
		if err != nil {
			return v, false
		}
		v[i] = n
	}
	return v, true
}

func (v version) before(w version) bool { return v[0] < w[0] || v[0] == w[0] && v[1] < w[1] }

// oldestMaster is the first Mesos that has what this package builds on: 1.3
// brought the roles of a framework that change while it runs, 1.4 reservation
// refinement and the tasks of unreachable agents.
var oldestMaster = version{1, 4}

// checkVersion refuses a master that is too old. One that does not say its
// version, or says it in another way, is given the benefit of the doubt.
func checkVersion(s string) error {
	v, ok := parseVersion(s)
	if !ok || !v.before(oldestMaster) {
		return nil
	}
	return fmt.Errorf("%w: it is Mesos %s, and reservation refinement needs %d.%d or newer",
		ErrRefused, s, oldestMaster[0], oldestMaster[1])
}
