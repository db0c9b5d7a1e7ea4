// Package statecmd is the state of a scheduler on the command line: commands
// that export it to JSON lines and import it from them, for the store in a
// directory and the one in ZooKeeper alike. A framework adds them to its own
// commands in one line:
//
//	root.AddCommand(statecmd.Command(statecmd.Config{}))
//
// An export names the secrets without their values. With --secrets these go to
// a file of their own, which only its owner can read, and which the import
// wants back:
//
//	myframework state export --state /var/lib/my --secrets my.secrets >my.jsonl
//	myframework state import --state zk://me:password@zk1:2181/my --secrets my.secrets my.jsonl
//
// An export reads beside the scheduler that runs. An import wants it stopped:
// a directory in use, and a path in ZooKeeper where a scheduler was elected,
// are refused.
package statecmd
