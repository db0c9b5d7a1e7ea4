// Hello keeps three web servers running, spread over agents and racks: the
// smallest service. It needs python3 on the agents.
//
//	go run ./examples/hello -master zk://zk1:2181/mesos
//	go run ./examples/hello                                # on a Mesos of its own, to look at
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"os/signal"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/offers"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

func hello() *frameworks.Service {
	return &frameworks.Service{Name: "hello", Pods: []frameworks.Pod{{
		Name: "web", Count: 3, Command: "exec python3 -m http.server --bind $HOST $PORT_HTTP",
		Needs: offers.MustParse("cpus:0.1;mem:32"), Ports: []frameworks.Port{{Name: "http"}},
		Place: constraints.MustParse("hostname:UNIQUE", "rack:GROUP_BY:3"),
		Ready: frameworks.HTTP("http", "/"),
	}}}
}

func main() {
	master := flag.String("master", "", "where the masters are; empty: start a Mesos in this process")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if *master == "" {
		mesos, err := mesostest.Start(ctx, mesostest.Config{Agents: agents})
		if err != nil {
			log.Fatal(err)
		}
		defer mesos.Close()
		*master = mesos.Master()
	}
	if err := scheduler.Run(ctx, scheduler.Config{Master: *master, Handler: hello()}); err != nil {
		log.Print(err)
	}
}

// agents are those of the Mesos of its own.
var agents = []mesostest.AgentConfig{
	{Resources: machine, Attributes: "rack:r1"}, {Resources: machine, Attributes: "rack:r2"}, {Resources: machine, Attributes: "rack:r3"},
}

const machine = "cpus:1;mem:512;ports:[31000-31099]"
