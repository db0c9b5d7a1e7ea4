package mesostest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/scheduler/state"
)

// simStore is a state.Store of a simulation: one set of records, of which the
// last to load is the writer. It remembers when each record was written.
type simStore struct {
	epoch   uint64
	records map[string]kept
	writes  uint64 // batches so far
}

type kept struct {
	state.Record
	written uint64 // simStore.writes when it was
}

// taskStatus is the status in a record of one.
func (k kept) taskStatus() (s mesos.TaskStatus, ok bool) {
	var saved struct{ Status []byte }
	ok = json.Unmarshal(k.Value, &saved) == nil && s.Unmarshal(saved.Status) == nil
	return s, ok
}

func newSimStore() *simStore { return &simStore{records: map[string]kept{}} }

// load returns all records and makes the caller the writer.
func (s *simStore) load() ([]state.Record, uint64) {
	s.epoch++
	list := make([]state.Record, 0, len(s.records))
	for _, r := range s.records {
		r.Value = bytes.Clone(r.Value)
		list = append(list, r.Record)
	}
	slices.SortFunc(list, func(a, b state.Record) int { return cmp.Compare(a.Key, b.Key) })
	return list, s.epoch
}

// save applies a batch, unless the writer of the epoch is fenced.
func (s *simStore) save(epoch uint64, batch []state.Record) error {
	if err := state.Check(batch); err != nil {
		return err
	}
	if epoch != s.epoch {
		return state.ErrFenced
	}
	s.writes++
	for _, r := range batch {
		if r.Value == nil {
			delete(s.records, r.Key)
			continue
		}
		r.Value = bytes.Clone(r.Value)
		s.records[r.Key] = kept{r, s.writes}
	}
	return nil
}

// taskState is what the scheduler has saved of a task.
func (s *simStore) taskState(id string) mesos.TaskState {
	status, _ := s.records["status/"+id].taskStatus()
	return status.GetState()
}

func (s *simStore) has(key string) bool {
	_, ok := s.records[key]
	return ok
}
