package executor_test

import (
	"encoding/json"
	"fmt"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

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
	// ready.tcp, http, command, func, log: 0 of them are set: want exactly one
}

// What only the place knows comes to a task by a decorator: in a scheduler by
// Decorate, in an executor by Config.Decorators.
func ExampleDecorate() {
	rack := "r1"
	place := executor.Decorator{
		Task: func(mesos.TaskInfo) ([]mesos.Label, map[string]string) {
			return []mesos.Label{{Key: "rack", Value: &rack}}, map[string]string{"RACK": rack}
		},
	}
	info, err := executor.Decorate(mesos.TaskInfo{Data: []byte(`{"command":["mysqld"]}`)}, place)
	fmt.Println(info.Labels.Labels[0].GetValue(), string(info.Data), err)
	// Output: r1 {"command":["mysqld"],"env":{"RACK":"r1"}} <nil>
}

// A scheduler asks for the log of a server and puts the answer together.
func ExampleAnswer() {
	request := executor.Request{ID: "42", Task: "mysql.0.1", Name: "tail", Body: json.RawMessage(`{"lines":2}`)}
	data, err := executor.EncodeMessage(request) // for MESSAGE; again until the answer is complete
	fmt.Println(string(data), err)

	var answer executor.Answer
	for _, data := range []string{
		`{"response":{"id":"42","task":"mysql.0.1","part":1,"parts":2,"body":"eWVhcgo="}}`,
		`{"response":{"id":"42","task":"mysql.0.1","part":0,"parts":2,"body":"aGFwcHkgbmV3IA=="}}`,
	} {
		m, err := executor.DecodeMessage([]byte(data))
		if r, ok := m.(executor.Response); ok && err == nil && r.ID == request.ID {
			fmt.Println("complete:", answer.Add(r))
		}
	}
	body, err := answer.Body()
	fmt.Print(string(body), err)
	// Output:
	// {"request":{"id":"42","task":"mysql.0.1","name":"tail","body":{"lines":2}}} <nil>
	// complete: false
	// complete: true
	// happy new year
	// <nil>
}

// The scheduler's side: it asks for the log of a server until the answer has come,
// hands out a secret, and grants the lease.
func ExampleConversation() {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	show := func(turn executor.Turn) {
		for _, m := range turn.Say {
			fmt.Printf("say %T\n", m)
		}
		for _, a := range turn.Answers {
			fmt.Printf("%s: %s %v\n", a.Request.Name, a.Body, a.Err)
		}
	}
	secret := func(name string) ([]byte, bool) { return []byte("hunter2"), name == "root-password" }

	talk := executor.Conversation{Task: "mysql.0.1", Granting: true}
	show(talk.Step(now, secret, executor.Hello{Task: "mysql.0.1", Secrets: []string{"root-password"}}))
	show(talk.Step(now, secret, executor.Renew{Task: "mysql.0.1", Number: 1}))

	talk.Ask(now, executor.Request{ID: "log-1", Name: "tail"}, 0)
	turn := talk.Step(now, secret)
	show(turn)
	now = turn.Wake // nothing has come by then
	show(talk.Step(now, secret))
	show(talk.Step(now, secret, executor.Response{ID: "log-1", Task: "mysql.0.1", Parts: 1, Body: []byte("ready for connections")}))
	fmt.Println("the last grant:", talk.Granted.Format(time.TimeOnly))
	// Output:
	// say executor.Secret
	// say executor.Grant
	// say executor.Request
	// say executor.Request
	// tail: ready for connections <nil>
	// the last grant: 00:00:00
}

// A name node and its failover controller are one task: it is healthy when both
// are, and fails with the controller.
func ExampleSidecar() {
	task := executor.Task{
		Command: []string{"bin/hdfs", "namenode"},
		Ready:   &executor.Probe{TCP: "$HOST:8020"},
		Sidecars: []executor.Sidecar{
			{Name: "zkfc", Command: []string{"bin/hdfs", "zkfc"}, Essential: true, Restart: executor.Restart{Max: 5}},
			{Name: "exporter", Command: []string{"bin/exporter"}, Ready: &executor.Probe{HTTP: "http://$HOST:9100/metrics"}},
		},
	}
	fmt.Println(task.Validate())
	// Output: <nil>
}
