// Package quickstarttest runs a quickstart as its user does, and sees that
// nothing is left of it.
//
//	func TestMain(m *testing.M) { quickstarttest.Main(m, main) }
//
//	func TestOnce(t *testing.T) {
//		run := quickstarttest.Once(t)
//		run.InOrder("broker-1  ready", "kill -9", "broker-1 is back")
//	}
package quickstarttest
