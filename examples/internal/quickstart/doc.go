// Package quickstart is what the quickstarts share: each runs a real service on
// an embedded Mesos, works with it through a real client while it breaks
// something, and counts what came back.
//
//	func main() {
//		quickstart.Main(quickstart.Program{
//			Executor: executor.Config{Steps: kafka.Steps()},
//			Agents:   quickstart.Agents(4, 2, "cpus:2;mem:1024;disk:4096;ports:[31000-31099]"),
//			Declare:  declare,
//			Work:     work,
//			Try:      []string{"go run ./frameworks/kafka/mesos-kafka status"},
//		})
//	}
//
// A quickstart prints a line for each change of state with the time since its
// start, then one like
//
//	acknowledged=100000 read=100000 lost=0
//
// and what else can be tried, and stays up until Ctrl-C; with -once it ends
// there. It exits with 0 only if nothing that was acknowledged is lost. However
// it ends, no process and no file is left but the servers' distribution in the
// user's cache.
//
// What came back is counted by a [Ledger] of numbers: of messages, of rows, of
// files whose checksum is right.
package quickstart
