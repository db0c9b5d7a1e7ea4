// Package executor runs on a Mesos agent and supervises servers: it writes
// their files, starts them, watches whether they are ready, stops them
// gracefully, and tells the scheduler about all of it, over the v1 executor HTTP
// API.
//
// # A binary that is its own executor
//
// A framework's binary becomes its own executor with one call at the beginning
// of main:
//
//	func main() {
//		executor.Main(executor.Config{})
//		// ... the framework itself
//	}
//
// The scheduler launches tasks with an ExecutorInfo, from [Info], whose command
// starts this same binary, fetched by the agent, with the variable [Marker] in its
// environment. Each TaskInfo carries a [Task] as JSON in its data: the files, the
// steps before the start, the command, the probes, and how to stop it. An
// executor ends when the last of its tasks has ended, so one executor, with an
// identifier of its own, belongs to one pod. Tasks of one LAUNCH_GROUP start
// together or not at all, and when one of them ends otherwise than by finishing the
// others are stopped.
//
// The executor needs no rights that its server does not need. As root it can
// give a server, its files and its secrets to another user (Task.User,
// File.Owner), and raise the hard limit of open files; without root these, and
// only these, are refused, before anything is written.
//
// # What the scheduler hears
//
// These updates come for a task, in this order, each with a message in words:
//
//	TASK_STARTING            "files written"
//	TASK_STARTING            after each step that was not skipped: its Done, such as "formatted"
//	TASK_RUNNING, unhealthy  "started pid 4711"
//	TASK_RUNNING, healthy    "ready", when the probe passes
//	TASK_RUNNING, unhealthy  "not ready: …", when it then fails several times, and so on
//	TASK_KILLING             the stages of a stop that was asked for, if the
//	                         framework has the capability TASK_KILLING_STATE
//	TASK_KILLED, TASK_FINISHED or TASK_FAILED
//
// A task without a readiness probe is healthy from its start. It is killed if
// somebody asked for its end, finished if its server exited with 0 by itself,
// and failed otherwise; the message then tells the exit status or the signal,
// and holds the last lines of the server's output. TASK_ERROR means that
// TaskInfo.data is not a Task that could be carried out anywhere.
//
// A task with a [Sidecar] is told of in the same updates: those that concern the
// sidecar begin with "sidecar" and its name, "sidecar exporter: started pid 4712",
// and the task is healthy when its server and its essential sidecars are.
//
// Before TASK_RUNNING comes also "secrets written" for a task with secrets, and
// "lease granted" for one with a lease; a task with Task.Restart tells each new
// start of its server with TASK_RUNNING, unhealthy. A [Decorator] adds labels to
// all of these, and labels and variables to the task itself.
//
// # A conversation
//
// Scheduler and executor send each other a [Message] in the data of MESSAGE. The
// executor says [Hello] while a task waits for its secrets, and gets each as a
// [Secret]. For a task with a [Lease] it says [Renew] and is answered with [Grant];
// the server starts only then. A [Request] asks for a function of Config.Requests,
// for the [Tail] of the output, or for the [Usage] of processor and memory, which
// also comes by itself where Task.Sample is set; the answer is a [Response], or several.
// Mesos may lose messages, so who wants an answer repeats the request under the
// same ID; it is still carried out once.
//
// The scheduler's side of all this is a [Conversation], a value without a clock or a
// connection: a handler gives it what [DecodeMessage] makes of a message, and sends
// what its Step returns through [EncodeMessage]:
//
//	talk.Ask(v.Now(), executor.Request{ID: "log", Name: "tail"}, 0) // when there is something to ask
//	turn := talk.Step(v.Now(), secret, heard...)                    // with each message, and at turn.Wake
//	for _, m := range turn.Say {
//		data, err := executor.EncodeMessage(m)
//		...
//		actions = append(actions, scheduler.Message{Agent: agent, Executor: id, Data: data})
//	}
//	for _, a := range turn.Answers { ... } // remember it: who asks again is answered again
//
// What is said goes to the executor that the task was launched with, wherever a
// message came from. A handler that keeps no memory of its own stores the
// Conversation as JSON with what it remembers. To take a lease away it sets Granting
// to false, remembers that, and gives the place to another once [Lease.Over] the
// last grant.
//
// # What can be relied upon
//
// Every update is kept, also on disk in the sandbox, until the agent has
// acknowledged it, and is told again with each new subscription. The server
// does not notice when the agent is restarted; only when the agent stays away
// for longer than MESOS_RECOVERY_TIMEOUT is it stopped, since the agent would
// not take the executor back.
//
// Nothing that a server or a probe has started outlives it, and no server outlives
// its executor, even when that is killed: a small guard process between the two,
// this same binary again, waits for that moment. Linux makes this complete, for
// daemons that have left the process group too, and should the guard itself be
// killed; on other systems those survive. (Where both are killed at one moment, the
// server ends and only its container can end what it has started.)
//
// Waiting in the executor goes by the monotonic clock: a step of the machine's
// clock ends and delays nothing.
//
// A server writes to the stdout and stderr of the sandbox through the executor,
// which rotates them and never stops reading: a full disk loses output and does
// not block the server.
//
// # Faults
//
// Each of these is provoked by a test, but for the clock with real processes; those
// whose name begins with TestCluster run on the embedded Mesos.
//
//	agent restarted                       nothing is noticed            TestClusterAgentRestarts
//	agent stays away                      server stopped                TestAgentThatStaysAwayEndsTheServer
//	connection cut, no checkpoints        nothing is noticed            TestBrokenConnection
//	executor killed                       nothing survives, it is told  TestClusterExecutorIsKilled
//	executor killed and started again     every update is told          TestExecutorKilledAtAnyMoment
//	guard killed                          nothing survives, it is told  TestClusterGuardIsKilled
//	SIGTERM ignored, daemons, output
//	closed, output flooded                stopped in time, logs small   TestClusterStubbornServer
//	server ends as soon as it starts,
//	or cannot be started                  it is told why                TestClusterShortLives
//	disk full                             server goes on, end is told   TestClusterDiskIsFull
//	master and scheduler away             updates come, in order        TestClusterMasterAndSchedulerAway
//	messages lost, doubled, reordered     asked again, done once        TestClusterBadNetwork
//	scheduler frozen or away, network cut lease ends, and comes again   TestClusterLease
//	executor frozen                       lease ends                    TestClusterLeaseOfAFrozenExecutor
//	sidecar fails                         as its description says       TestClusterSidecar
//	executor killed during a probe        nothing survives              TestProbeDoesNotSurvive
//	clock steps back                      nothing is forgotten          FuzzCore
//	somebody looks for a secret           it is in its file only        TestClusterSecretIsNowhere
//
// # How it is built
//
// core decides, without a clock, a network or a goroutine: it takes events and
// returns effects. runner carries them out. A subscription is one connection to
// the agent, a supervisor takes one task through its life, a program is its server
// or one of its sidecars, which runs, and perhaps runs again, each time as a
// process under its guard. The connection is over TCP, TLS or the agent's domain
// socket, as the environment says, in protocol buffers or JSON (Config.JSON).
package executor
