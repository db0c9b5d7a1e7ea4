package zookeeper_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"

	"github.com/mesokit/mesokit/scheduler/state"
	"github.com/mesokit/mesokit/scheduler/state/zookeeper"
)

// Two or three of this program are one scheduler that survives the loss of a
// machine. It needs a ZooKeeper, so it is only compiled here.
func ExampleStore_Lead() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	store, err := zookeeper.Open(zookeeper.Config{URL: "zk://me:secret@zk1:2181,zk2:2181/mesokit/hello"})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	lead, err := store.Lead(ctx) // stands by until it leads
	if err != nil {
		log.Fatal(err)
	}
	// Here scheduler.Run(lead, scheduler.Config{Store: store, ...}) loads and saves.
	records, err := store.Load(lead)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(records), "records")
	<-lead.Done()
	if errors.Is(context.Cause(lead), state.ErrFenced) {
		log.Fatal("another leads now")
	}
}

func ExampleOpen() {
	_, err := zookeeper.Open(zookeeper.Config{URL: "zk://me:secret@zk1:2181"})
	fmt.Println(err)
	// Output: open state: Config.URL: the path is missing: want one, such as zk://host:2181/mesos
}
