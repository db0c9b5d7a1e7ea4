// Package state keeps what a scheduler must remember when it dies.
//
// A [Store] holds records: a key, the version of its format, and a value that
// the store does not look into. There are two operations. Load reads
// everything and makes the caller the writer; Save applies a batch of records,
// durably and all or nothing. That is enough for a crash-only scheduler: it
// loads once when it starts, saves before it acts, and a restart is the same
// path as a failover.
//
// # One writer
//
// The last to have loaded is the writer. Each Load begins a new epoch, and a
// store of an earlier epoch is fenced: its saves fail with [ErrFenced] and
// change nothing. A scheduler that sees ErrFenced must stop, because another
// one has taken the lead; whatever it decided since is void.
//
// # Stores
//
//   - [Memory] forgets with the process. It is for tests and simulations; two
//     handles on one memory stand for two processes on one store.
//   - [File] is a directory on a local disk, with no server to run.
//   - Package [github.com/mesokit/mesokit/scheduler/state/zookeeper] keeps the
//     records in ZooKeeper and elects who leads, so that a second scheduler can
//     stand by.
//
// Any other implementation is held to the same contract by the suite in
// [github.com/mesokit/mesokit/scheduler/state/statetest].
//
// # Formats
//
// The shape of a value changes over the years. A program lists the formats
// that it knows as [Format] values and passes what it loaded through [Upgrade],
// which brings older records up to date and refuses newer ones.
//
// # For people
//
// [Export] writes records as JSON, one on each line, and [Import] reads them
// back exactly. Together with Load and Save they move a state from one kind of
// store to another; package
// [github.com/mesokit/mesokit/scheduler/state/statecmd] makes commands of that.
package state
