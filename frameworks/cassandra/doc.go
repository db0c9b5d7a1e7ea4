// Package cassandra runs a ring of Apache Cassandra 5.0 on Mesos: a [Cluster]
// declares it, and package frameworks brings it about. The command
// mesos-cassandra, in the folder below, is all of it in one binary; import the
// package to run a ring from a program of your own.
//
// # For who knows Cassandra and not Mesos
//
// Mesos offers a framework what its agents (machines) have free: cpus, memory,
// disk, ports. For each node the framework picks an agent that fits and reserves
// there what [Cluster] asks for, with a persistent volume and three ports. From
// then on that place is the node's alone, whether it runs or not: a node that
// ends, for whatever reason, is started again in the same place, with the same
// address and data; where the machine comes back with another address, it is the same
// node there, and its peers learn of it. It moves only when an operator says so ("node replace"), or
// after Cluster.ReplaceAfter; it then begins with an empty volume, and takes over
// the tokens of its former self.
//
// Clients begin with any node that "mesos-cassandra endpoints" lists, and learn of the
// others from it.
//
// The scheduler is the process that decides all this. Nodes do not need it to
// run: it may be stopped, killed and started again at any time.
//
// Which agents will do is said by rules over what the agents call themselves:
// "hostname:UNIQUE", the default, for at most one node on a machine;
// "rack:GROUP_BY:3" to spread them over the values of an agent attribute. With
// RackAttribute the same attribute becomes the node's rack, by which
// NetworkTopologyStrategy spreads replicas. Agents have to offer the ports: the
// ring talks on 7000 and clients on 9042 unless StoragePort and CQLPort say
// otherwise, and a stock Mesos agent offers 31000 to 32000 only.
//
// # Who manages a node
//
// A third port is for this framework: Jolokia, an agent within the node's JVM,
// serves its JMX there over HTTP, so that a question costs a millisecond and not
// the start of a nodetool. It wants a password, which the framework makes once
// and which is in no task, log or status. For nodetool itself give each node a
// local JMX port: --jvm-flag -Dcassandra.jmx.local.port=7199.
//
// # How a ring is founded, and grows
//
// Nodes join one at a time. The first founds the ring: it alone, and only as long
// as there is no ring, is its own seed. That is the lowest index of the nodes that
// are to run and whose agents are not lost, also where all were replaced by force at
// once. Every other begins with the first three members by their index, streams its
// part of the data, and is a member when it serves, all members who serve see it
// alive, with its tokens, and it sees them so. Before it starts, every member was
// asked: all have to serve, to agree about the ring and its schema, and nobody may be
// joining, leaving or moving. What a node waits for is in the status. One whose joining
// fails, because a member dies meanwhile, is started again when that one is back, or
// replaced, and begins to stream anew.
//
// A node that was replaced takes over the tokens of its former self where it has come to
// be in the same rack. In another it joins as any new node does, after its peers have
// taken its former self out of the ring: replicas that are spread over racks would
// otherwise be looked for on nodes that have nothing of them. To replace nodes within
// their racks, spread them evenly ("rack:GROUP_BY:3") and have an agent to spare in each.
//
// A seed is only where others begin. When it is lost, the next member takes its
// part; when it was replaced, it gets it back.
//
// Cassandra's own roles get three replicas at the founding, one where the ring has
// one node (system_auth; one would be lost with any node).
//
// # What nodes stop for
//
// A changed option, a restart, a replace and a machine's maintenance stop nodes
// on purpose. Before one stops the ring itself is asked whether it can be spared:
// the others must agree as above, and of each part of each keyspace a quorum of
// the replicas must remain up. What no order of restarts could avoid, as for a
// keyspace with one or two replicas, does not stand against it. Statements
// that are idempotent and tried again by the driver (RetryPolicy) do not fail.
//
// A node that serves is not replaced, unless by force, while it holds the only copy
// of something, nor while any member has hints for another that stays: those on its
// volume would be lost, and it could take over its data from who lacks what they
// say. Where hints were written since a node started, the ring is watched for 25
// seconds. What it waits for is in the status. A node that was stopped is to be
// started first, or forced.
//
// To stop, a node closes its clients' connections, drains, and gets SIGTERM.
//
// Who joins and who leaves wait for one another; only who takes the part of a dead
// node comes before those who leave.
//
// A node that leaves ("node remove") is decommissioned: it streams what it holds
// to the others, hands its hints to one of them (unless transfer_hints_on_decommission
// is false), and stops when it is out of the ring. One whose agent is lost is taken
// out by its peers (removenode). Fewer than three nodes want --force, because
// Cassandra's own keyspaces have three replicas.
//
// # What is noticed before it does harm
//
// A volume carries whose it is. One of another ring or node is refused before
// Cassandra sees it, and so is one that is empty although it held a node: while
// its peers are down Cassandra would start on it as a ring of its own, and serve
// nothing where there was data. So is that of a node that began in another ring,
// which it founded itself or whose members were all replaced, before it had arrived:
// it would serve in this one without anything that was written there. And so is one that
// its peers took out of the ring while it was down (removenode), as long as any of them
// serves: it would come back with its old part, without what was written since. The
// status says what to do: bring the volume back, or replace the node.
//
// # What is safe when a node is killed
//
// Cassandra's own configuration syncs the commit log every ten seconds, so a node
// that is killed forgets what it acknowledged last. Here it is synced before the
// acknowledgement (commitlog_sync: batch). Where losing some milliseconds on one
// of three replicas does no harm, this is faster:
//
//	--option commitlog_sync=periodic --option commitlog_sync_period=10s
//
// # What the framework sets
//
// Addresses, ports, directories, snitch, tokens, seeds and names are the
// framework's; an option that would change one of them is refused, and the error
// says what to use instead. So is a key that Cassandra does not know, of which it
// would die at the next start.
//
// # What can be changed while it runs
//
// Everything but names and user, datacenter, rack attribute, number of tokens and
// storage port: "mesos-cassandra options" prints it, "mesos-cassandra update"
// takes what is to be other and leaves the rest as it is. A program that is started
// with another Cluster changes what differs from its last start. The volume becomes
// smaller only with "update --shrink".
//
// # Memory
//
// Mem is what Mesos reserves, Heap what the JVM may use for objects. The rest, at
// least 160 MiB, is for the JVM itself and what Cassandra keeps outside the heap;
// a node under load wants as much page cache as it can get, so leave it as much
// again as the heap, which is the default.
//
// # What it does not do
//
// After a node was added the others keep what they no longer own until somebody
// runs cleanup (nodetool cleanup, on each of them). There are no backups. Another release
// of Cassandra can be declared, and is rolled node by node, but nobody rewrites the tables
// after it (nodetool upgradesstables). A ring has one datacenter.
//
// It makes no certificates and distributes none. Nodes and clients talk in plain text,
// unless the options client_encryption_options and server_encryption_options say
// otherwise, with keys that are on every agent already. This framework manages nodes in
// plain text in any case, password included: keep the admin ports from others.
//
// # Repair
//
// Replicas drift apart where writes miss one of them for longer than hints are kept.
// The plan "repair" brings them together: node after node compares the ranges of
// which it is the first replica with the others. Meanwhile no node is restarted; it
// begins when all are ready. It is started by
//
//	mesos-cassandra plan start repair
//	mesos-cassandra plan start repair '{"keyspaces": ["orders"]}'
//
// and by itself when the API is told when (PUT /v1/plans/repair/schedule).
//
// Nobody is asked what would be lost with a node that does not serve: one that
// crashes, or is lost with its agent, or is stopped or dies while its replace waits.
// Its hints are lost, and what it alone had; run a repair after the replace or removal
// of one, or statements at QUORUM may miss what it had acknowledged while another was
// away. The same holds after a force, where a node was away for longer than Cassandra
// keeps hints for it (max_hint_window), where they are disabled, and where a replace
// begins within seconds of a write of which a replica missed its part: Cassandra makes
// a hint of it only after the write's timeout. Hints are looked for in files; with a
// hints_flush_period above its default of 10 seconds some may not be there yet.
package cassandra
