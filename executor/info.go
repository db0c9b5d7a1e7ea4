package executor

import mesos "github.com/mesos/mesos-go/api/v1/lib"

// Info describes, for TaskInfo.Executor, the executor that the framework's own
// binary is by Main. Program is its path on the agents, or in the sandbox, such as
// "./mesos-kafka", where a URI brings it there. The id must be new for each pod. A
// caller may add resources, a container, and the ShutdownGracePeriod that
// Task.ShutdownGrace tells.
func Info(framework, id, program string, uris ...mesos.CommandInfo_URI) *mesos.ExecutorInfo {
	shell, marked := false, "1"
	return &mesos.ExecutorInfo{
		Type:        mesos.ExecutorInfo_CUSTOM,
		ExecutorID:  mesos.ExecutorID{Value: id},
		FrameworkID: &mesos.FrameworkID{Value: framework},
		Command: &mesos.CommandInfo{
			Value: &program, Arguments: []string{program}, Shell: &shell, URIs: uris,
			Environment: &mesos.Environment{Variables: []mesos.Environment_Variable{{Name: Marker, Value: &marked}}},
		},
	}
}
