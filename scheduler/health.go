package scheduler

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// stuckAfter is how long one step may take, handler and store together, before
// something is wrong with one of them.
const stuckAfter = 30 * time.Second

// Status is what a machine has to do with at the moment.
type Status struct {
	FrameworkID string `json:"framework_id,omitempty"`
	Connected   bool   `json:"connected"`
	Master      Master `json:"master"`
	Reconciled  bool   `json:"reconciled"` // as View.Reconciled
	Unanswered  int    `json:"unanswered"` // tasks that reconciliation still asks for
	Tasks       int    `json:"tasks"`      // known, those that have ended and were not forgotten too
	Kills       int    `json:"kills"`      // under way
	Operations  int    `json:"operations"` // under way
	Offers      int    `json:"offers"`     // held
	Jobs        int    `json:"jobs"`       // running
}

// Health says how a scheduler is.
type Health struct {
	Status
	Running bool      `json:"running"` // Run has begun and has not ended
	Since   time.Time `json:"since"`   // when Running or Connected last changed
	// Trouble is why there is no subscription, or why Run ended; empty where all
	// is well, or not known.
	Trouble string `json:"trouble,omitempty"`
	// Busy is how long the scheduler has been at one step: a handler that does
	// not return, or a store that does not save.
	Busy time.Duration `json:"busy"`
}

// Err says why the scheduler cannot do its work; nil: it can.
func (h Health) Err() error {
	why := ""
	if h.Trouble != "" {
		why = ": " + h.Trouble
	}
	switch {
	case !h.Running:
		return errors.New("the scheduler does not run" + why)
	case h.Busy > stuckAfter:
		return fmt.Errorf("the handler or the store has been at one step for %v", h.Busy.Round(time.Second))
	case !h.Connected:
		return fmt.Errorf("no subscription with a master since %s%s", h.Since.Format(time.RFC3339), why)
	}
	return nil
}

// Monitor looks at a Run from outside. The zero value is ready: put its address
// into Config.Monitor. Several goroutines may ask it at once.
type Monitor struct {
	mu     sync.Mutex
	health Health
	began  time.Time // of the step under way; zero: there is none
}

// Health says how the scheduler is now. It never waits for it.
func (m *Monitor) Health() Health {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.health
	if !m.began.IsZero() {
		h.Busy = time.Since(m.began)
	}
	return h
}

// ServeHTTP answers with the Health as JSON, and in field "error" why the
// scheduler cannot do its work: then the status is 503, else 200.
func (m *Monitor) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	answer := struct {
		Error string `json:"error,omitempty"`
		Health
	}{Health: m.Health()}
	code := http.StatusOK
	if err := answer.Err(); err != nil {
		answer.Error, code = err.Error(), http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(answer) // fails when the client has gone
}

func (m *Monitor) running(is bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.health = Health{Running: is, Since: time.Now()}
	m.began = time.Time{}
	if err != nil {
		m.health.Trouble = err.Error()
	}
}

func (m *Monitor) trouble(text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.health.Trouble = text
}

func (m *Monitor) begin() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.began = time.Now()
}

func (m *Monitor) end(s Status) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.Connected != m.health.Connected {
		m.health.Since = time.Now()
	}
	if s.Connected {
		m.health.Trouble = ""
	}
	m.health.Status, m.began = s, time.Time{}
}
