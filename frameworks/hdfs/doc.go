// Package hdfs runs an HDFS cluster (Hadoop 3.4) on Mesos: journal nodes, name
// nodes of which one is active and another takes over by itself, and data nodes. A
// [Cluster] declares it, and package frameworks brings it about. The command
// mesos-hdfs, in the folder below, is all of it in one binary; import the package
// to run a cluster from a program of your own.
//
// # For who knows HDFS and not Mesos
//
// Mesos offers a framework what its agents (machines) have free: cpus, memory,
// disk, ports. For each node the framework picks an agent that fits and reserves
// there what [Cluster] asks for, with a persistent volume and ports. From then on
// that place is the node's alone: a server that ends is started again in the same
// place, with the same address and data. It moves only when an operator says so
// ("name replace 1"), when its agent is declared gone, or, for data nodes, when it
// was lost for Cluster.LostAfter and no block is missing without it.
//
// Nodes are called journal-0, name-1, data-2, and the ids of name nodes in the
// configuration are these names. The name service is called as the service is:
// hdfs://hdfs/. A ZooKeeper, in which the name nodes elect the active one, has to
// be there; see [Cluster].
//
// Each name node's failover controller (ZKFC) runs beside it in the same task. A
// name node that stops on purpose hands over first. One that dies is noticed by
// its controller, which gives up its lock before it ends, so that another takes
// over within seconds; when the whole machine dies, that takes as long as
// the controller's session with ZooKeeper (ha.zookeeper.session-timeout.ms).
//
// # How a cluster comes up
//
// Each step waits for proofs, never for time: the journal nodes serve an empty
// journal; name-0 asks all of them, and makes the namespace; its controller has it
// elected; it is active; name-1 copies the namespace from it, and stands by; data
// nodes start when every name node has been ready once, and are ready when the
// active name node lists them.
//
// # The namespace is made once
//
// The ids of the namespace (cluster, namespace, block pool) follow from a seed that
// the scheduler keeps with the cluster, so every node knows them at all times, and a
// volume with other ids is refused. A namespace without edits is made in one case
// only: no name node has ever been ready, which the scheduler keeps in its store,
// and no journal node holds an edit, which all of them are asked. A node whose
// volume is empty never formats it. It is filled from a peer:
//
//   - A name node copies the image of another (bootstrapStandby). Only if no name
//     node is left that holds it, because each was replaced, the first makes it
//     anew of the journal: of every edit since the first. If the journal does not
//     go back so far (Hadoop keeps the last million: dfs.namenode.num.extra.edits.retained),
//     it says so and waits for a volume to be brought back. So never replace the
//     last name node that has its volume.
//   - A journal node begins with an empty journal when all others answer and each
//     of them has every edit that any of them has. It has forgotten what it
//     promised; the others then know it all. Hadoop copies the edits to it.
//   - A data node is empty, and name nodes have others copy blocks to it.
//
// Each volume has a mark with the cluster, the node and how often the node was
// replaced. A node refuses the volume of another, and that of its own former place;
// one that has no mark is given it.
//
// What is filled is made beside its place and moved there whole, so that a crash
// at any moment leaves an empty volume or a full one.
//
// # What is lost, and what happens
//
// The tests are those of mesos-hdfs; TestCluster is part of make test, and
// TestLosses of make soak (it takes many minutes more).
//
//	lost                                what happens                               test
//	active name node (kill -9)          a standby is active, the other comes back  TestCluster
//	standby name node (kill -9)         comes back in its place                    TestLosses
//	name node with its volume           replace: copied from the other; data nodes
//	                                    and the other learn its new address        TestCluster
//	name node's volume emptied          copied from the other                      TestLosses
//	journal node with its volume        replace: filled from the others; name
//	                                    nodes learn its new address                TestCluster
//	journal node's volume emptied       filled from the others                     TestLosses
//	data node with its volume           replace: blocks are copied                 TestCluster
//	data node's machine, for            another takes its place once the name
//	  Cluster.LostAfter                 node has given it up and misses no block;
//	                                    else it waits for the machine, or replace  TestSimulated
//	a machine comes back at another     who has its address in its configuration
//	  address                           is restarted, as after a replace           TestLosses
//	every process at once (power)       all come back to their volumes, no format  TestCluster
//	ZooKeeper                           the active name node goes on; no failover
//	                                    and no start of a name node meanwhile      TestLosses
//	two journal nodes, one after the    each filled from the others; the second
//	  other                             replace is refused until the first is      TestLosses
//	two of three journals at once       waits: name the third in Cluster.Trust
//	                                    (--trust), once it is known to be whole    TestLosses
//	all journals                        waits for one to be brought back, see
//	                                    below; nothing is formatted                TestLosses
//	journal node and active name node   both as above                              TestLosses
//	journal node and a data node        both as above                              TestLosses
//	active name node and a data node    both as above                              TestLosses
//	both name nodes with their volumes  replace both (--force): made of the
//	                                    journal                                    TestLosses
//	two data nodes, one after the       blocks are copied; the second replace is
//	  other                             refused until the first is ready, and
//	                                    waits until every block is copied          TestLosses
//	as many data nodes at once as       blocks that were on them only are missing
//	  blocks have replicas              until a machine is back; the status says
//	                                    how many                                   not tested
//
// A replace while a machine cannot be reached is the operator's word that it is
// gone: a journal node that writes on over there, with a name node that still knows
// it, could make a majority that the new one is not in.
//
// Cluster.Trust (--trust) holds for every journal that is lost while it is set, when
// the one that it names may lack edits: take it out again as soon as all journal
// nodes are ready. Until then the routine "keeping" says so, in its memory, to
// whoever asks the scheduler for its status (GET /v1/status).
//
// # All journals are lost
//
// Journal nodes wait, name nodes end again and again, and nothing is formatted. One
// journal that is brought back is enough, if it has all edits: see Cluster.Trust.
//
// If none will be, the edits since the last image are with the name nodes, each of
// which has those that it wrote while it was active. They become the journal by
// hand. First the name nodes are stopped, for one that starts with an empty journal
// begins where its image ends:
//
//	mesos-hdfs name stop 0 1 --wait
//	mesos-hdfs journal stop 0 1 2 --wait
//
// On the volume of each journal node make the file journal/<service>/current/VERSION:
// it is name/current/VERSION of a name node's volume, with JOURNAL_NODE for NAME_NODE,
// and without the line blockpoolID. Then
//
//	mesos-hdfs journal start 0 1 2
//
// Find the name node that was active last: in name/current of its volume is the
// edits_inprogress of the greatest number. Keep a copy of that folder, and add to it the
// files edits_N-M that only other name nodes have. In the sandbox of its last run (with
// the journal nodes' addresses mended in conf/hdfs-site.xml, if they have moved) run
//
//	java @tool.args org.apache.hadoop.hdfs.server.namenode.NameNode -D dfs.ha.namenode.id=name-0 \
//	    -D dfs.namenode.name.dir=file://$PWD/volume/name -initializeSharedEdits -force
//
// as the user that it runs as; start it (name start 0), and when it is active, the
// others. If it ends with "There appears to be a gap in the edit log", these edits are
// nowhere any more: a name node that was killed while it was active need not have its
// last ones. Stop it, run the same with -recover in place of -initializeSharedEdits,
// which asks, and goes on without them; start it; replace the others; and see with
// "hdfs fsck /" what is left.
//
// # Change
//
// Nearly everything can be changed while it runs: "mesos-hdfs options" prints it,
// "mesos-hdfs update" takes it changed. A program that is started with another
// Cluster does the same. A change is refused as a whole, with the field and the
// reason, where it
//
//   - has another number of journal nodes, once one of them was ready: a majority
//     of more could lack what a majority of these has promised to keep;
//   - names, once there is a namespace, servers of ZooKeeper of which none was named
//     before: name nodes would be elected in two places while they are restarted.
//     To change them all, keep one, and leave that out in a second change;
//   - has fewer name nodes, fewer data nodes than blocks have replicas, or raises
//     dfs.replication above the number of data nodes;
//   - makes a volume smaller;
//   - names in Trust a journal node that is not there.
//
// Name, role, principal and user are not among what is changed. Cpus, memory, heap
// and disk of a kind of node restart these nodes; an option, a flag of the JVMs or
// Grace restarts all, data nodes before name nodes; other servers of ZooKeeper
// restart the name nodes. LostAfter, Backoff and the rules for agents restart
// nobody. Nor does Trust: a journal node that waits with an empty volume sees it
// with its next try, and each try ends after half a minute. Another Hadoop directory
// is to be of the same version, for upgrades are not known yet, and nobody checks
// that. Where nodes with and without an option do not speak to each other, a rollout
// stops at the first that is not ready, and "mesos-hdfs rollback" returns.
//
// Another dfs.replication is not that of files that are there. The framework takes
// it for that of all when it decides whether a disk may be given up: raise it from 1
// only together with theirs (hdfs dfs -setrep), before a data node is replaced.
//
// Journal nodes are restarted one by one while all others take part in what is
// written; data nodes while no block has too few replicas; name nodes while
// another could take over, and the active one last. An address that changes (a
// replaced journal or name node) restarts, in that way, who has it in its
// configuration. Clients want a new configuration when a name node has moved:
// "mesos-hdfs client-config DIR" writes core-site.xml and hdfs-site.xml, as does
// [ClientConfig].
//
// Whether blocks have too few replicas, a name node knows only when it has gone
// through all of them, after it has become active and after safe mode. Before that
// it says that there are none; the framework sees, by the threads of the name node
// (/stacks), that it still looks, and lets no data node stop or go. Nor does it while
// the name node calls a data node dead and still counts on what that held, as it does
// for up to half a minute.
//
// A data node that is to leave ("data remove 3") is decommissioned first: the
// framework keeps the list of those that leave in ZooKeeper (/mesokit/hdfs/<name>),
// each name node's executor writes it down for its name node, and the node stops
// when the active one calls it Decommissioned. A file that a client has left open
// keeps it waiting, until dfs.namenode.lease-hard-limit-sec has passed; the status
// says how many blocks are in such files. If a name node moves meanwhile, and the node
// that leaves is no longer listed by the active one, it is restarted first: name nodes
// that miss its blocks stay in safe mode. Journal and name nodes stay.
//
// A data node whose machine is lost may come back with blocks of which it has the
// only replica, and what a replaced node had is destroyed. So the status calls a lost
// one "copied" when the active name node has given it up, has gone through its blocks
// and misses none; before, it is replaced neither by itself nor without --force. The
// same holds for one that is there and not ready, of which nobody can say it.
//
// Uninstall destroys all volumes. In ZooKeeper /hadoop-ha/<name> and
// /mesokit/hdfs/<name> are left; a new cluster of the same name takes them over.
//
// # What it does not do
//
// Upgrades of Hadoop, backups, racks, Kerberos and TLS are not known yet. Data nodes
// are told apart by the address from which the name node sees them and their port:
// several on one machine (as in tests) want ports that differ.
//
// What is in ZooKeeper is open to everybody who reaches it: the election, as Hadoop
// makes it, and the list of the data nodes that leave. Whoever writes there can have
// all data nodes decommissioned, or another name node active: let the network keep
// away from it who is neither a name node's machine nor the scheduler's.
package hdfs
