package executor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
)

// signals are those that a task may name to stop its server.
var signals = map[string]syscall.Signal{
	"SIGHUP":  syscall.SIGHUP,
	"SIGINT":  syscall.SIGINT,
	"SIGQUIT": syscall.SIGQUIT,
	"SIGKILL": syscall.SIGKILL,
	"SIGUSR1": syscall.SIGUSR1,
	"SIGUSR2": syscall.SIGUSR2,
	"SIGTERM": syscall.SIGTERM,
}

// signalNumber returns the signal of that name; an empty name is SIGTERM.
func signalNumber(name string) (syscall.Signal, error) {
	if name == "" {
		name = defaultSignal
	}
	if s, ok := signals[name]; ok {
		return s, nil
	}
	return 0, fmt.Errorf("%q: want one of %s", name, strings.Join(slices.Sorted(maps.Keys(signals)), ", "))
}

// signalName is the inverse of signalNumber, for messages.
func signalName(s syscall.Signal) string {
	for _, name := range slices.Sorted(maps.Keys(signals)) {
		if signals[name] == s {
			return name
		}
	}
	return fmt.Sprintf("signal %d (%v)", int(s), s)
}
