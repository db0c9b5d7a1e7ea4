package executor_test

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/mesokit/mesokit/executor"
)

// A scheduler describes how to run a server, and sends that to the executor as
// TaskInfo.data.
func Example() {
	task := executor.Task{
		Files: []executor.File{{Path: "conf/zoo.cfg", Content: []byte("clientPort=$PORT\n"), Expand: true}},
		Init: []executor.Step{{
			Name: "initialise", Done: "initialised",
			Command: []string{"bin/zkServer-initialize.sh", "--myid=1"}, Unless: "data/myid",
		}},
		Command: []string{"bin/zkServer.sh", "start-foreground", "conf/zoo.cfg"},
		Env:     map[string]string{"PORT": "2181"},
		Ready:   &executor.Probe{TCP: "127.0.0.1:$PORT", Within: time.Minute},
		Stop:    executor.Stop{Grace: 10 * time.Second},
	}
	if err := task.Validate(); err != nil {
		fmt.Println(err)
		return
	}
	data, err := json.Marshal(task) // for TaskInfo.data
	if err != nil {
		fmt.Println(err)
		return
	}

	received, err := executor.ParseTask(data) // in the executor
	fmt.Println(received.Command[0], received.Ready.TCP, err)
	// Output: bin/zkServer.sh 127.0.0.1:$PORT <nil>
}

// What cannot be carried out is refused where it is written, not on the agent.
func ExampleTask_Validate() {
	for _, task := range []executor.Task{
		{},
		{Command: []string{"mysqld"}, Files: []executor.File{{Path: "../../etc/my.cnf"}}},
		{Command: []string{"mysqld"}, Stop: executor.Stop{Signal: "TERM"}},
		{Command: []string{"mysqld"}, Ready: &executor.Probe{}},
	} {
		fmt.Println(task.Validate())
	}
	// Output:
	// command is empty: want a program and its arguments
	// files[0].path "../../etc/my.cnf": want a path relative to the sandbox that stays inside it
	// stop.signal "TERM": want one of SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2
	// ready.tcp, http, command, log: 0 of them are set: want exactly one
}
