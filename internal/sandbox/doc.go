// Package sandbox is what a Mesos agent does with its operating system: the
// directories under its work directory, the processes of its containers, the
// artifacts that it fetches for them, and the command tasks that it runs
// itself. It holds no Mesos protocol state; who may launch what, and what
// becomes of a status, is the caller's business.
//
// # The work directory
//
// A [WorkDir] is laid out as the agent of Apache Mesos 1.12 lays out its
// --work_dir (src/slave/paths.hpp):
//
//	slaves/<agent>/frameworks/<framework>/executors/<executor>/runs/<container>
//	slaves/<agent>/frameworks/<framework>/executors/<executor>/runs/latest
//	volumes/roles/<role>/<persistence id>
//	meta/slaves/<agent>/frameworks/<framework>/executors/<executor>/runs/<container>
//
// The first is the sandbox, where stdout and stderr are; the last remembers
// the process, so that an agent that starts again finds it with
// [WorkDir.Runs] and [Attach].
//
// # Containers
//
// [Start] makes the sandbox of a [Run], links the persistent volumes into it,
// fetches the URIs of the command and starts the process in a session of its
// own. The process is not tied to the caller: it outlives its agent.
// [Container.Signal] reaches the process and its descendants, its process
// group and its session, as Mesos does; [Container.Destroy] kills them and
// whatever else still carries the sandbox in its environment, to the last.
// There are no cgroups and no namespaces, so a process that leaves the session,
// loses its parent and clears its environment gets away; on macOS, where the
// environment of others cannot be read, the first two suffice.
//
// # Command tasks
//
// A [Task] stands in for mesos-executor, the executor that Mesos starts for a
// task that brings only a command: [StartTask] reports TASK_STARTING,
// TASK_RUNNING and the end of the task, checks its health, and escalates from
// SIGTERM to SIGKILL when it is to be killed.
//
// The package builds on Linux and macOS.
package sandbox
