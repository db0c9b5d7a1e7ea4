// Mesos-local runs a Mesos cluster on this machine, for people who write a
// framework in any language and have no Mesos to try it on:
//
//	go run github.com/mesokit/mesokit/scheduler/mesostest/mesos-local@latest
//
// It is package mesostest as a command: a master and agents that answer as a
// real Mesos 1.12 does, with real processes in real sandboxes. When the cluster
// is ready it prints one line of JSON, and nothing else, to the standard output:
//
//	{"pid":4711,"master":"127.0.0.1:5050","url":"http://127.0.0.1:5050",
//	 "control":"http://127.0.0.1:5055","dir":"/tmp/mesos-1","agents":[
//	 {"number":0,"hostname":"127.0.2.1","ip":"127.0.2.1","id":"…-S0","up":true,"partitioned":false,"work_dir":"…"}]}
//
// What happens is told on the standard error. Ctrl-C, SIGTERM or SIGHUP ends
// it, and leaves no process and no file. A script sends SIGTERM to the pid of that line:
// go run does not pass it on. The exit status is 0 after a signal, 1 if the
// cluster failed, and 2 if the command line or the cluster file cannot be right.
//
// # The cluster
//
// It is described by flags, or by a file in YAML or JSON whose keys are the
// names of the flags (mesos-local --help has them all):
//
//	address: 127.0.0.1:5050
//	region: eu
//	zone: eu-1
//	allocation_interval: 500ms
//	agent_ping_timeout: 1secs
//	max_agent_ping_timeouts: 3
//	credentials: {marathon: s3cret}
//	zk: zk://127.0.0.1:2181/mesos
//	standbys: 2
//	agents:
//	- {hostname: host1.test, attributes: "rack:r1;level:2", region: eu, zone: eu-1}
//	- {count: 3, resources: "cpus:8;mem:16384", executor_shutdown_grace_period: 2secs}
//
// Keys are called as the flags of Mesos's master and agent are, and durations
// are written as for those, or as Go writes them.
//
// An agent with pretend: true runs nothing, and its tasks only say that they run
// until they are killed. {count: 5000, pretend: true} is a large cluster.
//
// A framework that only knows the hostname of an agent must be able to resolve
// it. That is why it is the agent's IP address unless it is given.
//
// # Control
//
// What a test does to a [mesostest.Cluster] with methods, any program does with
// requests to the control address. All answers are JSON; that to a mistake is
// {"error": "…"}. An agent is named by its hostname, or by its number from 0.
// What is asked for twice is done once.
//
//	GET  /                           the master, the agents, and how many are registered and connected
//	GET  /master                     {"address", "url", "leading"}, of the leader
//	GET  /masters                    all masters: {"number", "address", "up", "leading", "paused"}
//	GET  /agents                     the agents, as in the line above
//	GET  /agents/{hostname}          one of them
//	GET  /tasks                      the tasks that have not ended: {"id", "framework_id", "agent_id", "hostname", "state"}
//	GET  /processes                  what runs: {"hostname", "pid", "framework_id", "executor_id", "task_id", "container_id", "sandbox"}
//	GET  /sandboxes                  all sandboxes: {"hostname", "agent_id", "framework_id", "executor_id", "container_id", "path"}
//	GET  /journal                    the last events, as lines
//	GET  /faults                     the faults that were set, as below, each with its "number" and how many messages it "matched"
//	POST /agents                     add what the body describes as an entry of the list of agents does
//	POST /agents/{hostname}/kill     end the agent's process; what it runs goes on
//	POST /agents/{hostname}/stop     take the machine away with all that it runs; its disk stays
//	POST /agents/{hostname}/start    start it after kill (it finds what it ran) or stop (as after a reboot)
//	POST /agents/{hostname}/restart  kill and start: tasks of frameworks that checkpoint go on
//	POST /agents/{hostname}/reset    stop and start as a new agent, with an empty disk and another ID
//	POST /agents/{hostname}/partition  lose all that agent and master say to each other; tasks go on
//	POST /agents/{hostname}/heal     end that
//	POST /agents/{hostname}/retire   let the agent take leave for good, with all that it runs, as SIGUSR1 does
//	POST /master/kill                end the master; agents and tasks go on
//	POST /master/start               start another at the same address, which remembers what a registry holds
//	POST /master/restart             kill and start
//	POST /master/standby?leader=host:port  answer as a master that does not lead: redirect to the leader,
//	                                 or say that there is none if it is left out
//	POST /masters/{number}/kill      the same for one of several masters; also start,
//	                                 pause (as SIGSTOP does) and resume
//	POST /faults                     set a fault; the answer has its number
//	DELETE /faults/{number}          end it, which delivers what it held back
//
// A fault says what becomes of messages between masters, agents, schedulers,
// executors and operators: {"message": "ACKNOWLEDGE", "agent": "host1.test",
// "to_master": true, "framework_id": "…", "task_id": "…", "fate": "drop",
// "times": 3}. What is left out matches anything; the fates are drop, delay (with
// "by": "2secs"), double, swap (with the next) and hold. The names of messages
// are those of [mesostest.Message].
//
// The answer to any other POST is the agent or the master as it is then. An agent that
// was started registers a moment later; active_agents of / tells.
//
// For example, with curl:
//
//	curl -X POST http://127.0.0.1:5055/agents/host1.test/partition
//
// Whoever reaches the control address controls the cluster, and whoever reaches
// the master runs commands on this machine: keep both on the loopback network.
package main
