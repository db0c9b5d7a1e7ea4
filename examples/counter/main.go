// Counter is a small stateful service in one program: servers that count their
// visitors on a volume of their own, the scheduler that keeps them running, and
// the executor that supervises them. It shows a volume, readiness, a rollout
// and a replace.
//
//	go run ./examples/counter                    # on a Mesos of its own; it says where its API is
//	curl -X PUT  $API/v1/options -d '{"nodes":3,"greeting":"good day","disk":32}'
//	curl -X POST $API/v1/nodes/counter-1/replace
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
	"github.com/mesokit/mesokit/scheduler/state"
)

func main() {
	executor.Main(executor.Config{})
	if len(os.Args) == 2 && os.Args[1] == "serve" {
		log.Fatal(serve())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "counter:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("counter", flag.ContinueOnError)
	master := flags.String("master", "", "where the masters are; empty: start a Mesos in this process")
	dir := flags.String("state", "", "the directory to remember in; empty: in memory")
	api := flags.String("api", "127.0.0.1:0", "where operators, and agents, reach the scheduler")
	o := options{Nodes: 3, Greeting: "hello", Disk: 16}
	flags.IntVar(&o.Nodes, "nodes", o.Nodes, "how many servers")
	flags.StringVar(&o.Greeting, "greeting", o.Greeting, "what they say")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *master == "" {
		mesos, err := mesostest.Start(ctx, mesostest.Config{Agents: agents})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, mesos.Close()) }()
		*master = mesos.Master()
	}
	var store state.Store = state.NewMemory()
	if *dir != "" {
		file, err := state.OpenFile(*dir)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		store = file
	}
	listener, err := net.Listen("tcp", *api)
	if err != nil {
		return err
	}
	fmt.Printf("API=http://%s\n", listener.Addr())
	return frameworks.Run(ctx, frameworks.Config{
		Service: counter(o), Listener: listener, Scheduler: scheduler.Config{Master: *master, Store: store},
	})
}

// agents are those of the Mesos of its own.
var agents = []mesostest.AgentConfig{{Resources: machine}, {Resources: machine}, {Resources: machine}, {Resources: machine}}

const machine = "cpus:1;mem:512;disk:512;ports:[31000-31099]"
