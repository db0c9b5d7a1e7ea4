// Package frameworks runs stateful services on Mesos: it makes a declaration
// (so many nodes, each with so much of everything, a volume, ports, rules for
// its place) into servers that run, and keeps it so.
//
// # What is declared
//
// A [Service] has [Pod]s, kinds of node that differ by their index only: the
// brokers of a cluster, the members of a ring. A pod says what each node needs
// ([offers.Resources], [Port], [Volume]), where it may live
// ([constraints.Rules]), what runs there, and a [Gate] that asks the servers
// themselves whether a node has arrived.
//
// A pod with a Command is a shell command, run by Mesos's own executor. A pod
// with a Task is supervised by this framework's own binary on the agent (see
// package executor): Task renders the node's files, its init steps and its
// command, as a pure function of the [Deployment] and the [Node].
//
// A pod may have one node on every agent that its Place allows (Everywhere), and
// its tasks may be work that ends (Aim): a first step for the pods that come After
// it, done once, or again with each configuration. What surrounds a task is
// declared beside it: files to Fetch, with checksums, its Container, Limits, and
// Discovery. FEATURES.md, beside this package's code, has what else there is, with
// the test that shows each.
//
// # The life of a node
//
// A [Node] has a name that it keeps, such as broker-0. It finds a [Place]:
// resources, ports and volumes of one agent, reserved under a label that
// carries its name. The place is saved before the reservation is asked for,
// and the node is launched when the reservation has come back in an offer. A
// pod with Together launches none of its nodes before all have their places,
// so that each can be told the addresses of all.
//
// A node that fails is launched again in the same place, on the same volume
// and ports, after a pause that doubles with each failure in a row. An agent that
// does not answer may still run it: it waits, and moves only by an operator's
// [ReplaceNode], or by its pod's [Recovery], which has the table of what each
// state of Mesos leads to. The volumes of the place it left are destroyed, and
// a server that is seen there again is put out. (A place that was lost before
// anything ran in it is given up, and another found.)
//
// Node.Arrived tells whether a node's volumes hold a member of the service: it
// is the generation of the place in which it was last ready. From it follows
// whether a volume may be formatted, who can be a seed, and who joins. A node
// that has not arrived waits for the pods in Pod.After, for its turn where the
// pod is Serial, and for its Join; one that has comes back at once.
//
// Phases, as [Status] shows them: placing, reserving, reserved, launched,
// starting, started, ready; backing off after a failure; unreachable while its
// agent is lost; stopping and stopped at an operator's wish. NodeStatus.Waits
// and Refused say what it waits for.
//
// # Change
//
// What a node runs is rendered anew whenever something changes that it could
// depend on, and compared by a hash. A running node that differs is out of date,
// and rolled: [Rollout] says how many at once, in which order, in which waves (by
// percent, by rack), after how many it pauses, and how many failures stop it or
// take it back. Nodes that are down
// are launched with what holds now, and a node that a bad configuration keeps
// from getting ready gets the next one at once. An agent that comes back with
// another address is such a change: its places follow it.
//
// A [Service] made of options (Service.Revise) changes while it runs: [Update]
// says what is to be other than the options in force, is refused where that would
// lose data, and changes the number of nodes, their resources, volumes and ports in
// place, and their configuration. What a node gets in addition is reserved
// beside its place while it still runs: it is not stopped for what its agent has no
// room for, and says what is missing; until there is room, the options are not
// called good. [Rollback] returns to the last that are; a volume that was added
// since stays where it is, unused, until its node is replaced. A program that is
// started with other options than the last time changes those that differ. A port
// that its peers have to know before should be declared with a number
// (Begin and End), or its pod be one with Together.
//
// A program that cannot look after a service as it stands holds it: it refuses the
// options in force, does not declare the service any more, or declares volumes,
// ports or a role other than those of the places that nodes have. The servers run
// on, nothing is launched, updated or moved, and Status.Held says why, until
// there are options or a program that fit, or an [Uninstall].
//
// Whoever stops a running node on purpose, for an update, a restart, a replace,
// maintenance or because it leaves, asks Pod.Spare first: can the service do
// without these nodes at once? Nodes that are not ready serve nobody, and are
// not asked for. An agent that is asked back for maintenance is left shortly
// before, and its nodes come back to their volumes after.
//
// [ScalePod] and [RemoveNode] let nodes go: Pod.Leave hands over what one holds
// while it still runs, then it stops, and its place is given back. [Uninstall]
// ends them all.
//
// The engine's work is shown as plans (deploy, update, recovery, leave,
// uninstall), which can be paused, and whose steps can be forced, skipped and
// restarted, beside the service's own [Plan]s, such as a backup.
//
// # How it runs
//
// A Service is a [scheduler.Handler]: give it to scheduler.Run, or with an API
// for its operators to [Run]. It keeps nothing in memory: each decision reads
// the service from the store's records, takes in the event, takes the next step
// for every node whose state and goal differ, and writes back what changed. So a
// scheduler that was killed goes on where it was. What a decision cannot know,
// because only the servers know it, is asked by jobs outside (the gates) whose
// answers are events.
//
// Operators use the commands ([StopNode], [ReplaceNode], [ScalePod], …),
// through [Service.API], a [Client] or a scheduler.Mailbox.
//
// # A framework of one's own
//
// A framework is a package that makes a Service of its options, and knows what
// only its database knows. In the order in which one needs them:
//
//   - Task renders the server: files, first steps, command, probe. It is a pure
//     function of the deployment and the node: no clock, no randomness (use
//     Deployment.ID), no map order. Steps that must happen once are steps that
//     look whether they have happened. Where the address of a peer is in a file,
//     set Together, so that all have one; where it may change under a running
//     server, leave it out in Essence.
//   - Ready asks the cluster, not the process, whether a node counts: is it
//     registered, in sync, joined? It only looks, says in its error what it
//     still waits for, and ends when its context does. It is asked again as long
//     as the node runs.
//   - Spare looks at where replicas are: would anything be lost, or have no
//     leader, without these nodes? It may hand leadership over before it agrees.
//     It is asked about several nodes at once; the more it can prove safe, the
//     faster a rollout is.
//   - Leave moves data away until nothing is left, and is asked again and again:
//     start what is not under way, and say how much remains. Removable refuses
//     early what could never succeed, such as fewer nodes than replicas; Addable
//     refuses nodes that the others would not know.
//   - Replaceable refuses to empty a volume while another copy is missing.
//   - After, Serial and Join order first starts; a server that comes back to its
//     data is never held up by them.
//   - OptionsOf makes options of it all, which have a type and defaults; a [RoutineOf] does what the
//     database needs done for as long as it lives, such as a failover; a
//     [PlanOf] is work with a beginning and an end.
//
// Test it in three steps. Functions of a Deployment are tested as such, with
// tables. The service as a whole runs in the simulator (mesostest.NewSim), in
// virtual time, under every fault, with jobs answered by functions. Then it runs
// on the embedded cluster (mesostest.New) with the real server: kill it, update
// it, replace it, and count what was acknowledged and is still there.
//
// examples/hello is the smallest service and examples/counter a small stateful
// one, each a program with a test. To begin a framework for a real database,
// copy frameworks/kafka: options, task, gates, spare, leave, each in a file.
package frameworks
