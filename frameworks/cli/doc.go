// Package cli is the command line of a framework's binary: the scheduler, what
// agents fetch to supervise servers, and the commands of an operator.
//
// A framework declares what is its own, and gets the rest:
//
//	func main() {
//		cli.Main(cli.App{
//			Name:        "mesos-kafka",
//			Short:       "Run a Kafka cluster on Apache Mesos",
//			Executor:    executor.Config{Steps: kafka.Steps()},
//			Declaration: new(declaration),
//			Pods:        []cli.Pod{{Name: "broker", Port: "client"}},
//		})
//	}
//
// # Commands
//
//	mesos-kafka scheduler                   run the scheduler until it is told to stop
//	mesos-kafka status                      every node, and what keeps one from being ready
//	mesos-kafka endpoints [role]            where clients reach the nodes that are ready
//	mesos-kafka broker list
//	mesos-kafka broker add [count]
//	mesos-kafka broker start|stop|restart|replace|remove 0 2
//	mesos-kafka options                     what can be changed while it runs, as JSON
//	mesos-kafka update options.json         change it, and roll the nodes
//	mesos-kafka rollback                    back to the last that was good
//	mesos-kafka plan list|show|history|start|pause|resume|cancel|force|skip|restart
//	mesos-kafka uninstall kafka             all of it, with its data
//	mesos-kafka state export|import         the scheduler's memory, from store to store
//	mesos-kafka --version
//
// There is one command like broker for each [Pod], and a node is named by its
// number or in full, as in broker-2. All nodes that a command names are looked
// up before the first of them is touched.
//
// A command returns when its wish is noted. With --wait it returns when the
// wish has come true, and takes several nodes one after the other; --timeout
// bounds that. With --json it prints what the API answers. With --service it is
// about one of several services that a scheduler runs (frameworks.Services). With
// --token-file and --ca-file it shows a token to an API that wants one, and trusts
// the certificate of an API that speaks HTTPS.
//
// # Errors
//
// The exit status is 0 when a command has done what it was told, 1 when that
// failed, and 2 when the command line or the declaration cannot be right: no
// second try will help. What a declaration's fields are called in Go is called
// by its flag in errors: Cluster.Heap is --heap, Service.Role is --role, and
// App.Fields says what the names do not.
package cli
