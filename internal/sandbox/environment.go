package sandbox

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// defaultPath is what a container finds in PATH when nobody sets it
// (os::host_default_path in Mesos): containers do not inherit the agent's.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Environment is what an agent tells the containers that it starts, from its
// flags and addresses. Nothing of the environment of the calling process
// reaches a container.
type Environment struct {
	// Endpoint is the agent's "host:port", where executors reach its API.
	Endpoint string
	// Checkpoint says whether the framework checkpoints, so that its
	// executors survive a restart of the agent.
	Checkpoint bool
	// ShutdownGrace is how long an executor has to end when told to, the
	// flag --executor_shutdown_grace_period or the ExecutorInfo's own.
	ShutdownGrace time.Duration
	// RecoveryTimeout is the flag --recovery_timeout: how long an executor
	// waits for its agent to come back. Told only to those of a framework that
	// checkpoints.
	RecoveryTimeout time.Duration
	// BackoffMax is the flag --executor_reregistration_timeout, the longest
	// pause between two attempts of an executor to subscribe again. Told only
	// to those of a framework that checkpoints.
	BackoffMax time.Duration
	// Role is the role that the resources of a command task are allocated to;
	// empty for custom executors, which do not learn it this way.
	Role string
	// Extra is the flag --executor_environment_variables: variables for every
	// executor, such as a PATH. What the agent says itself wins over it, save
	// LIBPROCESS_IP and PATH.
	Extra map[string]string
}

// variables are the variables for a run, by name. The names and the values are
// those that executors of Mesos 1.12 were seen to have (executorEnvironment in
// src/slave/slave.cpp). The tasks of a task group get next to none of them
// (src/launcher/default_executor.cpp).
func (e Environment) variables(r Run, directory string) map[string]string {
	vars := map[string]string{"PATH": defaultPath, "MESOS_SANDBOX": directory}
	if e.Role != "" {
		vars["MESOS_ALLOCATION_ROLE"] = e.Role
	}
	host, _, _ := net.SplitHostPort(e.Endpoint) // empty if there is no endpoint
	if r.Nested != "" {
		vars["MESOS_CONTAINER_IP"] = host
		return vars
	}
	vars["LIBPROCESS_IP"] = host
	maps.Copy(vars, e.Extra)
	vars["LIBPROCESS_PORT"] = "0"
	vars["MESOS_FRAMEWORK_ID"] = r.FrameworkID
	vars["MESOS_EXECUTOR_ID"] = r.ExecutorID
	vars["MESOS_DIRECTORY"] = directory
	vars["MESOS_SLAVE_ID"] = r.AgentID
	vars["MESOS_SLAVE_PID"] = "slave(1)@" + e.Endpoint
	vars["MESOS_AGENT_ENDPOINT"] = e.Endpoint
	vars["MESOS_HTTP_COMMAND_EXECUTOR"] = "0"
	vars["MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD"] = FormatDuration(e.ShutdownGrace)
	vars["MESOS_CHECKPOINT"] = "0"
	if e.Checkpoint {
		vars["MESOS_CHECKPOINT"] = "1"
		vars["MESOS_RECOVERY_TIMEOUT"] = FormatDuration(e.RecoveryTimeout)
		vars["MESOS_SUBSCRIPTION_BACKOFF_MAX"] = FormatDuration(e.BackoffMax)
	}
	return vars
}

// override puts the variables of a CommandInfo over vars. A secret is resolved
// when it carries its value; one that is only a reference is an error, because
// there is no secret store here to ask.
func override(vars map[string]string, env *mesos.Environment) error {
	for _, v := range env.GetVariables() {
		value := v.GetValue()
		if v.GetType() == mesos.Environment_Variable_SECRET {
			secret := v.GetSecret()
			if secret.GetValue() == nil {
				return fmt.Errorf("environment variable '%s': its secret has no value, and references cannot be resolved here", v.Name)
			}
			value = string(secret.GetValue().Data)
		}
		vars[v.Name] = value
	}
	return nil
}

// list is vars as execve(2) takes them, sorted.
func list(vars map[string]string) []string {
	env := make([]string, 0, len(vars))
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		env = append(env, name+"="+vars[name])
	}
	return env
}

// FormatDuration writes d as Mesos does in environments and flags: "2secs",
// "1mins", "1500ms". A duration that is no whole number of its unit is written
// in the next smaller one.
func FormatDuration(d time.Duration) string {
	if d < 0 {
		return "-" + FormatDuration(-d)
	}
	units := []struct {
		size time.Duration
		name string
	}{
		{7 * 24 * time.Hour, "weeks"}, {24 * time.Hour, "days"}, {time.Hour, "hrs"}, {time.Minute, "mins"},
		{time.Second, "secs"}, {time.Millisecond, "ms"}, {time.Microsecond, "us"}, {1, "ns"},
	}
	for i, u := range units {
		if d < u.size {
			continue
		}
		if d%u.size != 0 && d%units[i+1].size == 0 { // never of a nanosecond
			u = units[i+1]
		}
		return strconv.FormatFloat(float64(d)/float64(u.size), 'g', 15, 64) + u.name
	}
	return "0ns"
}
