// Package mesostest is a Mesos for tests and quickstarts: a master and agents
// in this process, without a Mesos installed.
//
// It answers as a real Mesos 1.12 does. The master serves the v1 scheduler API
// (JSON and protocol buffers) and the operator endpoints; agents serve the v1
// executor API, fetch URIs, make persistent volumes and run real processes in
// real sandboxes, laid out as Mesos lays them out. On Linux every agent has an
// address of its own on the loopback network (127.0.x.y), so that servers which
// insist on one port for all nodes run side by side.
//
// In a test, use it like net/http/httptest:
//
//	func TestReplacesLostBroker(t *testing.T) {
//		c := mesostest.New(t, mesostest.Agents(4, "cpus:4;mem:8192;disk:10000;ports:[31000-31999]"))
//		startMyFramework(c.Master())
//		c.WaitRunning(t, 3)
//		c.Agent(0).Stop()
//		c.WaitRunning(t, 3)
//	}
//
// The cluster ends with the test, with every process that it started. If the
// test failed it prints the last events and where the sandboxes are. Waits are
// for conditions and are bounded by the test's deadline.
//
// In a main, [Start] takes a [Config] that says more of the agents (hostnames,
// attributes, fault domains), and [Cluster.Close] leaves no process and no
// file.
//
// What happens to a cluster is in the hands of the caller: [Agent.Kill],
// [Agent.Stop], [Agent.Start], [Agent.Partition], [Agent.Heal],
// [Cluster.StopMaster], [Cluster.StartMaster], [Master.Pause]. What they say to
// each other and to schedulers is too: [Cluster.Intercept] loses, delays,
// doubles, swaps and holds back messages.
//
// With a ZooKeeper in its configuration a cluster has any number of masters,
// which elect their leader there as those of Mesos do: [Cluster.Masters],
// [Master.Kill], [Master.Start].
//
// There are no cgroups and no namespaces: resources are accounted for, not
// enforced, and containers share the network and the file system.
//
// # The simulator
//
// [Sim] runs any scheduler.Handler on the same model of Mesos in virtual time,
// without a network or a process, under faults that a seed decides ([FaultKind]
// lists them). After each step it checks what must always hold, and once the
// faults stop, that the framework reaches its goal. In a test:
//
//	func TestSimulated(t *testing.T) {
//		mesostest.Simulate(t, 100_000, mesostest.SimConfig{
//			Frameworks: []mesostest.SimFramework{{Handler: myPolicy{}, Goal: allRun}},
//		})
//	}
//
// Executors of package executor are part of it: servers wait for their secrets
// and leases, and end with these; SimFramework.Hear answers other messages. What
// servers have on their disks, and what jobs find when they ask them, is a model
// of the test's own, a SimModel. A service of package frameworks needs none of
// that to begin with: frameworks/simtest makes a whole simulation of it. With
// Fuzz it is Go's fuzzer that writes the faults.
//
// What it finds it makes small, prints and saves in testdata, and replays from
// then on. [RunSoak] goes on for as long as one likes, on all cores.
package mesostest
