// Package model is a Mesos master and Mesos agents as pure machines.
//
// A [Master] takes one [Input] at a time (a scheduler's call, an agent's
// message, the passing of time) and answers with [Output] values: a reply to
// the call, events for scheduler streams, messages for agents. An [Agent] does
// the same between its master, its executors and the containers under it.
// Neither has a goroutine, a clock, randomness or I/O: equal inputs at equal
// times give equal outputs, so one model serves the embedded cluster of
// package mesostest over real HTTP with real processes, and a simulation in
// virtual time with thousands of runs a second.
//
// Time comes in with every step. [Master.Wake] and [Agent.Wake] tell when the
// machine next has something to do by itself; step it with [Tick] then.
//
// Identifiers are counted, as Mesos counts them: frameworks
// <master id>-0000, agents <master id>-S0, offers <master id>-O0. Status and
// operation UUIDs made by an agent are hashes of its ID and a counter.
//
// The facts (texts of errors, order of events, states and reasons) are those
// of Apache Mesos 1.12, as recorded from a real cluster and, where nothing was
// recorded, as its source has them (src/master/master.cpp, validation.cpp,
// src/master/allocator/mesos/hierarchical.cpp, src/slave/slave.cpp).
//
// [Master.Check] returns an error when what must always hold does not:
// resources conserved on every agent, no offer in two hands. Tests call it
// after each step.
package model
