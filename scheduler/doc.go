// Package scheduler runs a Mesos framework: it keeps the subscription to the
// leading master, remembers before it acts, and asks a [Handler] what to do.
//
// A framework is a [Handler], a pure function of what is known (the [View]) and
// what happened (the [Event]) to what is decided (a list of [Action] values):
//
//	func (b *Batch) Handle(v scheduler.View, ev scheduler.Event) []scheduler.Action
//
// [Run] subscribes and calls it for every event until its context ends. The
// handler never sees a connection, a call or a lock. Work that takes time, such
// as asking a server for its state, is a [Job]: it runs outside and its outcome
// is one more event. An operator's request is a [Command], sent in through a
// [Mailbox].
//
// # What is taken care of
//
// The handler decides about offers and tasks. Everything that is the same for
// every framework is done for it:
//
//   - The framework id, every launch and every status are in the store before
//     anything that depends on them leaves the process. A status is
//     acknowledged after it was saved. A scheduler that is killed and started
//     again goes on where it was.
//   - After each subscription every task that has not ended is asked for until
//     it has answered, and every quarter of an hour Mesos is asked for tasks
//     that are not known. Those are killed.
//   - A kill is repeated until the task has ended. A task that ended never comes
//     back to life; if Mesos says it runs after all, it is killed.
//   - Offers that a decision leaves lying are declined; offers held are given
//     back after [MaxHold]; SUPPRESS, REVIVE and the offer constraints follow
//     what the handler wants ([Want]), for each role by itself where it says so.
//   - What a master is too old for ([Feature]) is left out, and noted.
//   - A call that fails in a way which may pass is sent again, up to five times
//     within seconds; an Accept only where it surely did not arrive. If it is
//     lost all the same, the subscription stays where something else makes up
//     for the call: statuses come again, kills and questions are repeated, the
//     offers of an Accept are declined. Only what master and scheduler would
//     differ about for ever, such as a decline or what offers are wanted, is
//     settled by a new subscription, which voids all offers.
//   - The leader is found behind redirects and restarts, a stream that has gone
//     silent is given up, and a second scheduler of the same framework ends
//     this one with [ErrFailedOver].
//
// # The machine
//
// All of this is in [Machine], which is pure: Step takes a time and an event and
// returns [Effects], the things that must happen next, in the order in which
// they must happen. It has no clock and does no I/O, so a simulator can run it
// through years of faults in a second, and a test of a handler is a list of
// events. Run is the loop around it.
//
// # Seen from outside
//
// Run logs one line for each change of state. A [Journal] keeps the last of them
// and streams them over HTTP; a [Monitor] says whether the scheduler can do its
// work, and if not, why; package metrics counts for Prometheus. All three look on:
//
//	m := metrics.New()
//	http.Handle("/metrics", m)
//	http.Handle("/journal", &journal)
//	http.Handle("/health", &monitor)
//	err := scheduler.Run(ctx, m.Watch(scheduler.Config{Journal: &journal, Monitor: &monitor, …}))
//
// # States of a task
//
// FINISHED, FAILED, KILLED, ERROR, DROPPED, GONE, GONE_BY_OPERATOR, LOST and
// UNKNOWN end a task ([Terminal]). UNREACHABLE does not: the agent may come
// back with the task running, so a handler decides how long it waits before it
// kills and replaces. LOST and UNKNOWN are the master's word that it knows
// nothing of the task; where that turns out to be wrong, the task is killed,
// since its place may be taken.
package scheduler
