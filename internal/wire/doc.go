// Package wire decodes the events that a master sends to a scheduler.
//
// A master makes all its offers at once: after a failover a large cluster is one
// event with tens of thousands of offers, for which mesos-go's own decoder makes
// about fifty allocations each. [Event] makes a few hundred for the whole event.
// It takes messages from slabs and texts from an arena; what is equal in many
// offers (names, roles, the attributes and the ports of agents that are alike) is
// one value. So an offer must not be changed in place, though its lists may be
// appended to, and whoever keeps a part of it for long should copy that: it holds
// on to its neighbours.
//
// The result is the same: what this decoder does not know (other events, rare
// resources, unknown fields, repeated or missing ones) is left to mesos-go's.
package wire
