package frameworks

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
)

// guarded calls a framework's function. A panic in it is its error, with where it
// was: one that an operator's options, a plan's parameters or a server's answer
// set off must not end the scheduler, and with it the care for all other nodes.
func guarded[T any](call func() (T, error)) (out T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v (%s)", p, panicked())
		}
	}()
	return call()
}

// allowed is guarded for a function that only says why not.
func allowed(why func() error) error {
	_, err := guarded(func() (struct{}, error) { return struct{}{}, why() })
	return err
}

// panicked is the line of the panic that is being recovered from. It is without
// addresses, so that equal decisions stay equal.
func panicked() string {
	callers := make([]uintptr, 64)
	frames := runtime.CallersFrames(callers[:runtime.Callers(0, callers)])
	for below := false; ; {
		frame, more := frames.Next()
		inRuntime := strings.HasPrefix(frame.Function, "runtime.")
		if below && !inRuntime {
			return fmt.Sprintf("%s:%d", filepath.Base(frame.File), frame.Line)
		}
		below = below || frame.Function == "runtime.gopanic"
		if !more {
			return "of an unknown line"
		}
	}
}
