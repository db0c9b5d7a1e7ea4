// Together runs a Kafka, a Cassandra, an HDFS and a MySQL cluster in one scheduler,
// as one framework of four roles: whoever keeps several services takes this for a
// template. What they are is in declare.go; where agents find the servers, in a
// file of JSON whose fields are those of the type servers.
//
//	go run ./examples/together -master zk://zk1:2181/mesos -servers servers.json
//	go run ./frameworks/mysql/mesos-mysql status --service mysql
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"maps"
	"net"
	"os"
	"os/signal"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/cassandra"
	"github.com/mesokit/mesokit/frameworks/hdfs"
	"github.com/mesokit/mesokit/frameworks/kafka"
	"github.com/mesokit/mesokit/frameworks/mysql"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/state"
)

func main() {
	executor.Main(executor.Config{Steps: steps()}) // agents start this same binary
	master := flag.String("master", "127.0.0.1:5050", "where the masters are")
	file := flag.String("servers", "servers.json", "where agents find the servers")
	memory := flag.String("state", "together.state", "directory of this scheduler's memory")
	api := flag.String("api", "127.0.0.1:7000", "address for operators and agents")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *master, *file, *memory, *api); err != nil {
		log.Fatal(err)
	}
}

// steps are what the executors of all services need.
func steps() map[string]executor.StepFunc {
	all := map[string]executor.StepFunc{}
	for _, some := range []map[string]executor.StepFunc{kafka.Steps(), cassandra.Steps(), hdfs.Steps(), mysql.Steps()} {
		maps.Copy(all, some)
	}
	return all
}

func run(ctx context.Context, master, file, memory, api string) error {
	var where servers
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &where)
	}
	if err != nil {
		return fmt.Errorf("-servers: %w", err)
	}
	store, err := state.OpenFile(memory)
	if err != nil {
		return fmt.Errorf("-state: %w", err)
	}
	defer store.Close()
	listener, err := net.Listen("tcp", api)
	if err != nil {
		return fmt.Errorf("-api: %w", err)
	}
	return frameworks.Run(ctx, frameworks.Config{
		Services:  &frameworks.Services{Declared: where.services()},
		Listener:  listener,
		Scheduler: scheduler.Config{Master: master, Store: store},
	})
}
