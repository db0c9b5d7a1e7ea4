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
// and ports, after a pause that doubles with each failure in a row. It never
// moves by itself once it has run: an agent that does not answer may still run
// it. Only an operator's [ReplaceNode] then gives it another place, and destroys
// the volumes of the one it left. (A place that was lost before anything ran in
// it is given up, and another found.)
//
// Phases, as [Status] shows them: placing, reserving, reserved, launched,
// starting, started, ready; backing off after a failure; unreachable while its
// agent is lost; stopping and stopped at an operator's wish.
//
// # How it runs
//
// A Service is a [scheduler.Handler]: give it to scheduler.Run. It keeps
// nothing in memory: each decision reads the service from the store's records,
// takes in the event, takes the next step for every node whose state and goal
// differ, and writes back what changed. So a scheduler that was killed goes on
// where it was. What a decision cannot know, because only the servers know it,
// is asked by jobs outside (the gates) whose answers are events.
//
// Operators use the commands ([StopNode], [ReplaceNode], [ScalePod], …),
// through [Service.API] or a scheduler.Mailbox.
package frameworks
