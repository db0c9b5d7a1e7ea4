// Package mysql runs a replication set of MySQL 8.0 or MariaDB 10.11 on Mesos:
// one primary that takes writes, and replicas. A [Cluster] declares it, and
// package frameworks brings it about. The command mesos-mysql, in the folder
// below, is all of it in one binary; import the package to run a set from a
// program of your own.
//
// # For who knows MySQL and not Mesos
//
// Mesos offers a framework what its agents (machines) have free: cpus, memory,
// disk, ports. For each member the framework picks an agent that fits and
// reserves there what [Cluster] asks for, with a persistent volume and a port.
// From then on that place is the member's alone: a server that ends is started
// again in the same place, with the same address and data. It moves only when an
// operator says so ("member replace"), or when its history has parted from the
// primary's; it then begins with an empty volume.
//
// The scheduler is the process that decides all this, and also who is the
// primary. It may be stopped, killed and started again; but see below for how
// long.
//
// # What is promised
//
// A write that was acknowledged is on two members at least: semi-synchronous
// replication waits after the sync of the binary log (AFTER_SYNC), for as long as
// it takes. With no replica left that acknowledges, writes wait, and the status
// says why; they never go on asynchronously.
//
// At no time do two members take writes. Every member starts read-only, from a
// configuration that is the same for all; only a promotion, said over one
// connection to one process, makes it writable. And before a promotion nothing of
// the former primary can act any more: its end was seen, or its lease is over.
// One that handed over and goes on knows the epoch of its successor, so that a
// scheduler that was suspended in an earlier promotion of it comes too late.
//
// # A failover
//
// The primary is deposed when its task has ended, or when for three seconds
// neither the scheduler nor any replica that answers hears of it. Then:
//
//  1. It is fenced: its lease is withheld and its process killed, by SIGKILL; at
//     SIGTERM it would acknowledge what no replica has. Where its agent is out of
//     reach, its own executor kills it at the end of the lease (Cluster.Lease),
//     and the failover waits until that has surely happened.
//  2. The others are sealed: they stop receiving, and tell which transactions
//     they executed and received, as sets of GTIDs.
//  3. One is elected that has all that any of them has, and only if nobody who
//     is absent can have more: all that followed the primary were heard, or the
//     primary itself, which comes back read-only and then stays the primary. Else
//     the status names who is missing. (Right after a promotion, until a replica
//     has caught up, that is the new primary, or the one before it; and after a
//     replica was started again, until one has caught up, the primary.)
//  4. It applies all that it received, however long that takes, then waits for
//     acknowledgements of its own, and takes writes. The others follow it.
//
// Where those that are missing are gone for good, nobody is promoted for ever.
// "mesos-mysql promote" then says what it would cost to go on without them: who is
// missing, what the survivors have, and what none of them can know. With
// --accept-loss the survivor that has most is promoted, after the same fence, and
// all others become copies of it: what was on their volumes is destroyed, also
// where they come back later. To look at such a volume first, stop that member's
// agent. A survivor that is alone takes writes when the first copy of it is there,
// for until then none could be acknowledged.
//
// The former primary comes back as a replica if it has nothing that the new one
// lacks. If it does (it wrote that, and never acknowledged it), it is made anew
// on an empty volume, because MySQL would keep the difference for ever.
//
// When a primary is to stop on purpose (restart, update, replace, leave), it
// hands over first: it takes no more writes, a replica applies the last of them,
// and is promoted. Clients that use the driver's rejectReadOnly, or its like, see
// new connections and no lost writes. "mesos-mysql switchover 2" does the same
// without stopping anybody. It is a plan: the API starts it by
// POST /v1/plans/switchover/start, and tells how it ended.
//
// A primary whose scheduler is away for longer than the lease is ended by its
// executor, for another scheduler might have promoted another; it serves again
// when a scheduler is back. Replicas stay, and are promoted only once their own
// executors have a lease again. So run a scheduler with standbys, or choose a
// longer lease and wait longer for agents that cannot be reached.
//
// A replica that somebody makes writable is made read-only again, and made anew
// if anything was written there.
//
// # New members
//
// A member that is added, replaced, or made anew is a copy of another that is
// made while that serves, of a replica rather than of the primary: by MySQL's
// clone plugin, or by mariadb-backup, which the executor of each member hands out
// over a second port (encrypted, to none but members). It then follows the
// primary from where the copy ends, so binary logs may be purged as one likes;
// they are after 30 days, or what the option binlog_expire_logs_seconds says.
// Tables other than InnoDB's arrive empty in MySQL. A member that was away for
// longer than the primary's binary logs reach back is made anew, one at a time.
//
// A copy needs a moment in which no write waits for an acknowledgement. Where
// both replicas are lost for good, and writes wait therefore, the new members
// replay the primary's binary logs from their beginning instead; only if these
// were purged the clients have to be stopped, and the primary restarted, first.
//
// # Finding the primary
//
// The status (GET /v1/status) names each member's address and its role, primary
// or replica; "mesos-mysql endpoints primary" prints it for a script. A role
// changes while the task goes on, and Mesos cannot change the DiscoveryInfo of a
// task that runs; so that (member-0.mysql, port mysql) leads to the members, and
// tells no roles. A client that finds its connection read-only asks again.
// People and programs log in with Cluster.Admin, an account that is made after
// the first promotion. The accounts of the framework itself have passwords that it
// makes and tells nobody.
//
// # What it does not do
//
// Connections of clients and of replication are not encrypted unless the client
// asks, and certificates are the servers' own. There are no backups.
package mysql
