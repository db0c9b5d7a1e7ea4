// Package kafka runs Apache Kafka 4.x on Mesos, in KRaft mode: a [Cluster]
// declares the brokers, and package frameworks brings them about. The command
// mesos-kafka, in the folder below, is all of it in one binary; import the
// package to run a cluster from a program of your own.
//
// # For who knows Kafka and not Mesos
//
// Mesos offers a framework what its agents (machines) have free: cpus, memory,
// disk, ports. For each broker the framework picks an agent that fits and
// reserves there what [Cluster] asks for, with a persistent volume and two
// ports. From then on that place is the broker's alone, whether it runs or not:
// a broker that ends, for whatever reason, is started again in the same place,
// with the same id, address and data. It moves only when an operator says so
// ("broker replace"), which gives it a new place and an empty volume, and
// destroys the old one; Kafka then copies the partitions from their other
// replicas.
//
// The scheduler is the process that decides all this. Brokers do not need it to
// run: it may be stopped, killed and started again at any time.
//
// Which agents will do is said by rules over what the agents call themselves:
// "hostname:UNIQUE", the default, for at most one broker on a machine;
// "rack:GROUP_BY:3" to spread them over the values of an agent attribute. With
// RackAttribute the same attribute becomes broker.rack, and Kafka spreads the
// replicas of each partition as well.
//
// # Who is a controller
//
// The first three brokers of a cluster are controllers too (with fewer than
// three only the first); brokers added later are brokers only. The quorum is a
// dynamic one (KIP-853): each controller is formatted with the addresses and
// directory ids of all, which are known because no broker is launched before
// all have their places. A controller that was replaced joins again by itself
// (controller.quorum.auto.join.enable) once it has started on its new volume.
//
// # What the framework sets
//
// node.id is the broker's index. Addresses, listeners, roles, quorum and
// directories are the framework's; an option that would change one of them is
// refused, and the error says which field of Cluster to use instead. So is an
// option that Kafka does not know or whose value is of the wrong type: Kafka
// itself ignores the first and dies of the second. What only a plugin knows
// goes into PluginOptions and is passed on unseen. Clients, brokers and
// controllers talk in plain text, without authentication.
//
// With fewer than three brokers at the first deployment, the replication of
// Kafka's own topics is lowered to what there is.
//
// # From reserved to ready
//
// On the agent, this framework's binary (see package executor) writes
// server.properties, formats the volume unless it is formatted, and starts the
// JVM. A volume of another cluster or broker is refused before Kafka sees it,
// because Kafka takes a minute to notice; so is one that is empty although it
// held a broker that was in the cluster, which must not come back without what
// it has promised to keep. The broker is ready when, asked on its own listener,
// the cluster says that it is registered and not fenced.
//
// In its first seconds a broker that came back after a crash is refused by the
// controllers until its old session has run out (broker.session.timeout.ms, 9
// seconds by default); it then shows as started and not ready.
//
// # What brokers stop for
//
// A changed option, a restart, a replace and a machine's maintenance stop brokers
// on purpose. Before one stops the cluster itself is asked whether it can be
// spared: of each partition on it as many in-sync replicas must remain as it takes
// to write (min.insync.replicas), and a majority of the controllers that have
// caught up. What no order of restarts could avoid, as for a partition with one
// replica, does not stand against it; but a broker that holds the only copy of
// something is not replaced, unless by force. A rollout takes brokers first, then
// controllers, and the active controller last.
//
// A broker that leaves ("broker remove") is cordoned, its replicas move to brokers
// that stay, rather to racks that have none of the partition and to brokers with
// few replicas; when it holds nothing it stops, its place is given back, and the
// cluster forgets it. Controllers do not leave: they are replaced. Brokers that
// are added get partitions of new topics only.
//
// # What can be changed while it runs
//
// Everything but names and user: "mesos-kafka options" prints it, "mesos-kafka
// update" takes what is to be other and leaves the rest as it is. A program that
// is started with another Cluster changes what differs from its last start. The
// volume becomes smaller only with "update --shrink".
//
// # Memory
//
// Mem is what Mesos reserves, Heap what the JVM may use for objects. The rest,
// at least 128 MiB, is for the JVM itself; a broker under load also wants page
// cache, so leave it as much again as the heap, which is the default.
package kafka
