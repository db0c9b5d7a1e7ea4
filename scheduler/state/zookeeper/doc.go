// Package zookeeper keeps the state of a scheduler in ZooKeeper, and elects
// which of several schedulers leads, in the same session.
//
// # A hot standby
//
// Start the same program two or three times. Each opens the store and waits in
// [Store.Lead]; one of them leads, the others follow: they keep a copy of the
// state up to date by watches. When the leader ends, the next leads at once;
// when it dies, or hangs, or is cut off, the next leads after the session
// timeout.
//
//	store, err := zookeeper.Open(zookeeper.Config{URL: "zk://kafka:secret@zk1:2181,zk2:2181/mesokit/kafka"})
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer store.Close()
//	lead, err := store.Lead(ctx)
//	if err != nil {
//		log.Fatal(err)
//	}
//	err = scheduler.Run(lead, scheduler.Config{Store: store, ...})
//
// A scheduler that has lost the lead decides nothing more. Every write is one
// transaction with two checks, which ZooKeeper makes: that the candidate of its
// writer is still there, which it is as long as the session lives, and that
// nobody has loaded since. Before it sends what needs no saving,
// scheduler.Run saves an empty batch, which asks the same. So it does not matter
// how long a process was stopped, or what its clock says. The context that Lead
// returned ends as well, which ends jobs: before the session can have expired,
// if ZooKeeper is out of reach, unless the process or its machine was stopped.
//
// Calls that it decided on and saved before may still leave. The next leader
// knows of them, for it has loaded what was saved; and once that one has
// subscribed, the master refuses them, as they are for a stream that has ended.
//
// Without Lead the store serves a single scheduler, as a directory does: the
// last to have loaded is the writer, and no lost session ends that.
//
// # Sizes
//
// A batch is one node of ZooKeeper, and a transaction; one that does not fit
// into 768 KiB is written as several nodes before the transaction that makes it
// count. So the limit of ZooKeeper's requests (1 MiB) is none of batches and
// records. When the batches weigh 4 MiB, or as much as the records, a
// snapshot takes their place. ZooKeeper holds all of its data in memory, with
// the last 500 transactions beside it, and so does this package with the
// records: it is meant for tens of megabytes, and a server's heap should have
// room for ten times the state.
//
// # Secrets
//
// With a user and a password in the URL all nodes are for that user alone
// (digest ACLs). ZooKeeper's protocol is not encrypted: whoever can listen on
// the way, or read the servers' disks, reads the records.
package zookeeper
