package statecmd_test

import (
	"context"
	"log"
	"os"

	"github.com/spf13/cobra"

	"github.com/mesokit/mesokit/scheduler/state"
	"github.com/mesokit/mesokit/scheduler/state/statecmd"
)

func Example() {
	dir, err := os.MkdirTemp("", "state")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := state.OpenFile(dir)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := store.Load(context.Background()); err != nil {
		log.Fatal(err)
	}
	err = store.Save(context.Background(), []state.Record{
		{Key: "framework", Value: []byte("id-0001")},
		{Key: "kafka/secret/keystore", Value: []byte("hunter2")},
	})
	if err != nil {
		log.Fatal(err)
	}

	root := &cobra.Command{Use: "myframework"}
	root.AddCommand(statecmd.Command(statecmd.Config{}))
	root.SetArgs([]string{"state", "export", "--state", dir})
	if err := root.Execute(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// {"key":"framework","text":"id-0001"}
	// {"key":"kafka/secret/keystore","secret":true}
}
