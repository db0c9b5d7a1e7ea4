package state

import (
	"context"
	"fmt"
	"sync"
)

// Memory is a store that lives as long as the process. Each Memory is one
// handle, as one process would hold; [Memory.Open] gives another on the same
// records.
type Memory struct {
	shared *memory
	epoch  uint64 // of this handle's last Load, 0 before; guarded by shared.mu
}

// memory is what all handles share.
type memory struct {
	mu      sync.Mutex
	epoch   uint64 // of the writer: no handle has a higher one
	records Records
}

// NewMemory returns the first handle on a new, empty memory.
func NewMemory() *Memory {
	return &Memory{shared: &memory{records: Records{}}}
}

// Open returns another handle on the same records, as a second process would
// have. It is not the writer until it loads.
func (m *Memory) Open() *Memory { return &Memory{shared: m.shared} }

// Load implements [Store].
func (m *Memory) Load(ctx context.Context) ([]Record, error) {
	m.shared.mu.Lock()
	defer m.shared.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("load state: %w", err)
	}
	m.shared.epoch++
	m.epoch = m.shared.epoch
	return m.shared.records.Snapshot(), nil
}

// Save implements [Store].
func (m *Memory) Save(ctx context.Context, batch []Record) error {
	if err := Check(batch); err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	m.shared.mu.Lock()
	defer m.shared.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	if m.epoch == 0 || m.epoch != m.shared.epoch {
		return fmt.Errorf("save state: %w", ErrFenced)
	}
	m.shared.records.Apply(batch)
	return nil
}
