package mesostest

import (
	"sync"
	"time"
)

// verbosity is a logging level that falls back to 0 after a while. Nothing
// here is logged by level; it is there for those who set it and read it back.
type verbosity struct {
	mu    sync.Mutex
	level uint32
	until time.Time
}

func (v *verbosity) set(level uint32, d time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.level, v.until = level, time.Now().Add(d)
}

func (v *verbosity) get() uint32 {
	v.mu.Lock()
	defer v.mu.Unlock()
	if time.Now().After(v.until) {
		return 0
	}
	return v.level
}
