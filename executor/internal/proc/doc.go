// Package proc is about processes as Linux shows them: the process table, and the
// memory of this one.
package proc

import "time"

// Process is a line of it.
type Process struct {
	PID, Parent int
	Group       int           // its process group
	CPU         time.Duration // of itself
	Reaped      time.Duration // of its children that have ended and been waited for
	Memory      int64         // resident, in bytes
}
