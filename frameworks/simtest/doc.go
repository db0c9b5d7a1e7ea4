// Package simtest runs a service in the simulator of package mesostest: under
// faults, in virtual time, with the service's own decisions and without its
// servers.
//
//	func TestSimulated(t *testing.T) {
//		mesostest.Simulate(t, 10_000, simtest.Config(service))
//	}
//
// A finding is printed, made small, and saved in testdata/sim with its history.
// Several services in one scheduler are simulated with [ServicesConfig].
// What [Config] returns may be changed before it is used. A service that acts
// on its servers (gates that do more than ask whether one serves, routines,
// plans) wants a model of them: see mesostest.SimConfig.Model, and Work of
// mesostest.SimFramework, which has to do the jobs then.
package simtest
