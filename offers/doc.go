// Package offers decides what of the resources that Mesos offers goes to whom.
// It knows resources, reservations and volumes, and the rules of package
// constraints; it knows nothing of connections, clocks or the life of tasks,
// and can be used alone.
//
// # Amounts
//
// Mesos sends scalars as floating point numbers, but computes with
// thousandths. So does this package: an [Amount] is a whole number of them,
// and [Resources] are amounts (and ranges, and sets) by name, a value that is
// read with [Parse] from the text that Mesos has on its command lines:
//
//	needs := offers.MustParse("cpus:0.1;mem:32")
//
// [Plus], [Minus], [Contains] and [Take] compute with resources as messages
// carry them, with their reservations and disks.
//
// # The way of a node
//
// A node that keeps data must come back to its data. Its resources are
// therefore reserved once, with labels that say whose they are, and used by
// one task after the other:
//
//   - [Reserve] finds a place for one or more [Request] values over all that is
//     offered. A [Match] has the operations to send (RESERVE, and CREATE for
//     volumes) and the resources that the node will have. Those are to be
//     remembered before the operations are sent. [Accepts] merges matches into
//     one accept for every agent.
//   - [Claim] finds these very resources when the agent offers them again, and
//     completes them if the operations were lost half way. [Launch] starts a
//     task on them.
//   - [Owned] finds all that carries a label, [OwnedVolumes] also what lies on
//     disk that the operator reserved, and [Release] gives it back.
//
// A node that has something reserved goes back to it, whatever else is free: to
// its volumes and its ports. A task that keeps nothing needs none of this, and
// sets Unreserved.
//
// A framework with a loop of its own keeps offers in a [Pool], which also bounds
// for how long and how many, and answers DryRun for what is not deployed. [Why]
// has the reasons to decline offers, and for how long.
//
// # Why not
//
// Where there is no place the [Report] says why: of how many agents each was
// refused by which rule, or was short of what and by how much; which came
// nearest; and what would have to change. It is data that adds up, and becomes
// text when somebody reads it:
//
//	broker-2: 4 agents looked at: 3 × hostname:UNIQUE: …; 1 × mem: wants 2048,
//	best 1536 on host4 (short by 512). It would fit with mem 1536
//
// # What is taken, and in which order
//
// First comes what is reserved with the request's own labels; then what the
// operator has reserved statically for the role, which is used as it is; then
// what the operator has reserved for a role above, which is reserved further
// (reservation refinement); last what is unreserved. What others reserved
// dynamically, revocable and shared resources are never taken. Only offers
// that are allocated to the role of the request are looked at, because Mesos
// takes offers together only when they are of one agent and one role.
//
// Protocol facts are from Mesos's documentation of reservations, persistent
// volumes, multiple disks and roles, its src/common/resources.cpp and
// values.cpp, and from what a Mesos 1.12 master answered.
package offers
