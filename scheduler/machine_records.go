package scheduler

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/scheduler/state"
)

// What the machine keeps in the store, by key:
//
//	identity        the framework id and the seed of the deployment
//	task/<id>       the TaskInfo of a task, as it was launched
//	status/<id>     what is known of that task: written at every change
//	operation/<id>  an operation under way that was sent with an id
//	handler/<key>   what the handler remembered under key
//
// Task and status are apart because the first is large and written once. Every
// task has both. A handler's values carry no version of ours: their format is
// the handler's own business.
const (
	keyIdentity     = "identity"
	prefixTask      = "task/"
	prefixStatus    = "status/"
	prefixOperation = "operation/"
	prefixHandler   = "handler/"
)

// formats are the shapes of the machine's own records. A change of one gets an
// upgrade here, and the shape before it stays readable.
var formats = []state.Format{
	{Prefix: keyIdentity},
	{Prefix: prefixTask},
	{Prefix: prefixStatus},
	{Prefix: prefixOperation},
}

// identity is what the framework is, made once and kept.
type identity struct {
	FrameworkID string `json:"framework_id,omitempty"`
	Seed        []byte `json:"seed"`
	// Teardown says that the end of the framework was decided: whatever
	// happens, the master is told until it has taken it.
	Teardown bool `json:"teardown,omitempty"`
}

// taskRecord is a TaskInfo. Its limits stand apart, since the protobuf
// encoding of a map has no fixed order and equal histories must save equal
// bytes.
type taskRecord struct {
	Info   []byte             `json:"info"`
	Limits map[string]float64 `json:"limits,omitempty"`
}

type statusRecord struct {
	Status []byte      `json:"status"`
	Since  time.Time   `json:"since"`
	Kill   *killRecord `json:"kill,omitempty"`
}

type killRecord struct {
	Grace  time.Duration `json:"grace,omitempty"`
	Reason string        `json:"reason,omitempty"`
}

// encodeTask fails for a TaskInfo that lacks what the protocol requires.
func encodeTask(info mesos.TaskInfo) ([]byte, error) {
	record := taskRecord{}
	if len(info.Limits) > 0 {
		record.Limits = map[string]float64{}
		for name, limit := range info.Limits {
			record.Limits[name] = limit.Value
		}
	}
	info.Limits = nil
	var err error
	if record.Info, err = info.Marshal(); err != nil {
		return nil, err
	}
	return json.Marshal(record)
}

func decodeTask(value []byte) (mesos.TaskInfo, error) {
	var record taskRecord
	var info mesos.TaskInfo
	if err := json.Unmarshal(value, &record); err != nil {
		return info, err
	}
	if err := info.Unmarshal(record.Info); err != nil {
		return info, err
	}
	for name, limit := range record.Limits {
		if info.Limits == nil {
			info.Limits = map[string]mesos.Value_Scalar{}
		}
		info.Limits[name] = mesos.Value_Scalar{Value: limit}
	}
	return info, nil
}

func encodeStatus(t *task) []byte {
	record := statusRecord{Status: mustMarshal(t.Status.Marshal()), Since: t.Since}
	if t.Killing {
		record.Kill = &killRecord{Grace: t.grace, Reason: t.reason}
	}
	return mustMarshal(json.Marshal(record))
}

func (t *task) decodeStatus(value []byte) error {
	var record statusRecord
	if err := json.Unmarshal(value, &record); err != nil {
		return err
	}
	if err := t.Status.Unmarshal(record.Status); err != nil {
		return err
	}
	t.Since = record.Since
	if record.Kill != nil {
		t.Killing, t.grace, t.reason = true, record.Kill.Grace, record.Kill.Reason
	}
	return nil
}

// mustMarshal is for values that are our own and always encode: a failure is
// a fault of this program.
func mustMarshal(b []byte, err error) []byte {
	if err != nil {
		panic(fmt.Sprintf("scheduler: encode a record: %v", err))
	}
	return b
}

// restore fills the machine from the records of the store.
func (m *Machine) restore(records []state.Record) error {
	records, err := state.Upgrade(records, formats...)
	if err != nil {
		return err
	}
	for _, r := range records {
		if err := m.restoreRecord(r); err != nil {
			return fmt.Errorf("record %q: %w", r.Key, err)
		}
	}
	for id, t := range m.tasks.all("") {
		if t.Info.TaskID.Value != id {
			return fmt.Errorf("record %q has no record %q beside it", prefixStatus+id, prefixTask+id)
		}
		if t.Status.State == nil {
			return fmt.Errorf("record %q has no record %q beside it", prefixTask+id, prefixStatus+id)
		}
		if t.Killing && !Terminal(t.Status.GetState()) {
			m.kills.set(id, &kill{agent: t.agent(), grace: t.grace})
		}
	}
	return nil
}

func (m *Machine) restoreRecord(r state.Record) error {
	if r.Key == keyIdentity {
		if err := json.Unmarshal(r.Value, &m.identity); err != nil {
			return err
		}
		m.identitySaved = true
		return nil
	}
	if key, ok := strings.CutPrefix(r.Key, prefixHandler); ok {
		m.records.set(key, r.Value)
		return nil
	}
	if id, ok := strings.CutPrefix(r.Key, prefixOperation); ok {
		return m.restoreOperation(id, r.Value)
	}
	if id, ok := strings.CutPrefix(r.Key, prefixTask); ok {
		info, err := decodeTask(r.Value)
		m.restored(id).Info = info
		return err
	}
	if id, ok := strings.CutPrefix(r.Key, prefixStatus); ok {
		return m.restored(id).decodeStatus(r.Value)
	}
	return fmt.Errorf("the key is none of a scheduler's: does this store belong to something else?")
}

// restored is the task that several records make up.
func (m *Machine) restored(id string) *task {
	t, ok := m.tasks.at(id)
	if !ok {
		t = &task{}
		m.tasks.set(id, t)
	}
	return t
}
