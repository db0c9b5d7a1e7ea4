package sandbox_test

import (
	"context"
	"fmt"
	"os"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/internal/sandbox"
)

// A command task runs in a sandbox of its own and reports its life.
func ExampleStartTask() {
	dir, err := os.MkdirTemp("", "agent-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	hello := "echo hello from $MESOS_EXECUTOR_ID"
	task, err := sandbox.StartTask(context.Background(), sandbox.TaskConfig{
		Container: sandbox.Config{
			WorkDir: sandbox.WorkDir(dir),
			Run:     sandbox.Run{AgentID: "agent-1", FrameworkID: "framework-1", ExecutorID: "hello", ContainerID: "1"},
		},
		Task: mesos.TaskInfo{TaskID: mesos.TaskID{Value: "hello"}, Command: &mesos.CommandInfo{Value: &hello}},
		Report: func(s mesos.TaskStatus) {
			fmt.Printf("%v %q\n", s.GetState(), s.GetMessage())
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	<-task.Done()
	stdout, err := os.ReadFile(task.Container().Directory() + "/stdout")
	fmt.Print(string(stdout), err)
	// Output:
	// TASK_STARTING ""
	// TASK_RUNNING ""
	// TASK_FINISHED "Command exited with status 0"
	// hello from hello
	// <nil>
}
