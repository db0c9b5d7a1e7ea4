package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// fault is what becomes of certain messages, as it is asked for and listed. A
// field that is left out is not looked at.
type fault struct {
	Number      int    `json:"number"`
	Message     string `json:"message,omitempty"`   // its name, such as "ACKNOWLEDGE" or "StatusUpdate"
	Agent       string `json:"agent,omitempty"`     // hostname of the agent at one of its ends
	ToMaster    *bool  `json:"to_master,omitempty"` // calls and what agents say, or events and what they hear
	FrameworkID string `json:"framework_id,omitempty"`
	TaskID      string `json:"task_id,omitempty"`
	Fate        string `json:"fate"`            // drop, delay, double, swap or hold
	By          string `json:"by,omitempty"`    // how long it is delayed
	Times       int    `json:"times,omitempty"` // of how many messages; 0: of all
	Matched     int    `json:"matched"`         // of how many it was

	mu   sync.Mutex // guards Matched
	fate mesostest.Fate
	end  func()
}

// fates are what can become of a message.
var fates = map[string]mesostest.Fate{
	"drop": mesostest.Drop{}, "double": mesostest.Double{}, "swap": mesostest.Swap{}, "hold": mesostest.Hold{},
}

// validate finds the fate that is asked for.
func (f *fault) validate() error {
	switch {
	case f.Times < 0:
		return fmt.Errorf("times is %d: want how many messages, or 0 for all", f.Times)
	case f.Fate == "delay":
		d, err := parseDuration(f.By)
		if err != nil || d <= 0 {
			return fmt.Errorf("by is %q: want a duration above 0, such as 500ms or 5secs", f.By)
		}
		f.fate = mesostest.Delay{By: d}
	case f.By != "":
		return fmt.Errorf("by is %q: want it with the fate delay only", f.By)
	default:
		fate, ok := fates[f.Fate]
		if !ok {
			return fmt.Errorf("fate is %q: want drop, delay, double, swap or hold", f.Fate)
		}
		f.fate = fate
	}
	return nil
}

// decide says what becomes of a message; nil if it is none of this fault's.
func (f *fault) decide(m mesostest.Message) mesostest.Fate {
	switch {
	case f.Message != "" && f.Message != m.Name,
		f.Agent != "" && (m.Agent == nil || m.Agent.Hostname() != f.Agent),
		f.ToMaster != nil && *f.ToMaster != m.ToMaster,
		f.FrameworkID != "" && f.FrameworkID != m.FrameworkID,
		f.TaskID != "" && f.TaskID != m.TaskID:
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.Times > 0 && f.Matched >= f.Times {
		return nil
	}
	f.Matched++
	return f.fate
}

// report is the fault as it is now.
func (f *fault) report() *fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &fault{Number: f.Number, Message: f.Message, Agent: f.Agent, ToMaster: f.ToMaster, FrameworkID: f.FrameworkID,
		TaskID: f.TaskID, Fate: f.Fate, By: f.By, Times: f.Times, Matched: f.Matched}
}

func (c *control) addFault(w http.ResponseWriter, r *http.Request) {
	f := &fault{}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
	d.DisallowUnknownFields()
	if err := d.Decode(f); err != nil {
		refuse(w, http.StatusBadRequest, "the body is no fault: want JSON such as {\"message\":\"ACKNOWLEDGE\",\"fate\":\"drop\"}: %s",
			strings.TrimPrefix(err.Error(), "json: "))
		return
	}
	if err := f.validate(); err != nil {
		refuse(w, http.StatusBadRequest, "%s", err)
		return
	}
	f.Matched = 0
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	f.Number = c.last
	f.end = c.cluster.Intercept(f.decide)
	c.faults = append(c.faults, f)
	reply(w, http.StatusCreated, f.report())
}

func (c *control) listFaults() []*fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := []*fault{}
	for _, f := range c.faults {
		all = append(all, f.report())
	}
	return all
}

// endFault ends a fault, which delivers what it held back.
func (c *control) endFault(w http.ResponseWriter, r *http.Request) {
	number, err := strconv.Atoi(r.PathValue("number"))
	c.mu.Lock()
	i := slices.IndexFunc(c.faults, func(f *fault) bool { return err == nil && f.Number == number })
	if i < 0 {
		c.mu.Unlock()
		refuse(w, http.StatusNotFound, "number is %q: want one that GET of /faults lists", r.PathValue("number"))
		return
	}
	f := c.faults[i]
	c.faults = slices.Delete(c.faults, i, i+1)
	c.mu.Unlock()
	f.end()
	reply(w, http.StatusOK, f.report())
}
