// Package clitest tests a framework's binary as its users run it: real
// scheduler processes that are killed and started again, and real commands.
//
// The binary is the test's own, so nothing is built beside it:
//
//	func TestMain(m *testing.M) { clitest.Main(m, main) }
//
//	func TestRing(t *testing.T) {
//		c := mesostest.New(t, clitest.QuickAgents(4, "cpus:1;mem:512;disk:1024;ports:[31000-31009]"))
//		s := clitest.New(t, c, "--name", "ring")
//		s.Start()
//		s.AwaitReady(3)
//		s.Kill()
//		s.Start()
//		s.Operate("status")
//	}
//
// A saga, where one cluster is taken through step after step because its
// servers are dear, hands the scheduler from one subtest to the next by [Scheduler.In].
// Every wait is for a fact and is bounded by [Patience]. What a scheduler that
// was killed may not have told any more is asked of the machines: [Scheduler.PIDs],
// [Scheduler.Volumes].
package clitest
