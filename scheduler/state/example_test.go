package state_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/mesokit/mesokit/scheduler/state"
)

// A second scheduler takes the lead by loading. The first learns of it when it
// saves.
func Example() {
	ctx := context.Background()
	first := state.NewMemory()
	second := first.Open()

	if _, err := first.Load(ctx); err != nil {
		log.Fatal(err)
	}
	err := first.Save(ctx, []state.Record{
		{Key: "framework", Value: []byte("id-0001")},
		{Key: "node/kafka-0", Value: []byte("reserved")},
	})
	if err != nil {
		log.Fatal(err)
	}

	records, err := second.Load(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range records {
		fmt.Printf("%s = %s\n", r.Key, r.Value)
	}
	err = first.Save(ctx, []state.Record{{Key: "node/kafka-0", Value: []byte("launched")}})
	fmt.Println(errors.Is(err, state.ErrFenced))
	// Output:
	// framework = id-0001
	// node/kafka-0 = reserved
	// true
}

func ExampleOpenFile() {
	ctx := context.Background()
	tmp, err := os.MkdirTemp("", "state")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(tmp)
	dir := filepath.Join(tmp, "kafka")

	for range 3 { // three lives of one scheduler
		store, err := state.OpenFile(dir)
		if err != nil {
			log.Fatal(err)
		}
		records, err := store.Load(ctx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(len(records), "records")
		life := fmt.Sprintf("life/%d", len(records)+1)
		if err := store.Save(ctx, []state.Record{{Key: life, Value: []byte("was here")}}); err != nil {
			log.Fatal(err)
		}
		if err := store.Close(); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// 0 records
	// 1 records
	// 2 records
}

// In the first release a node's value was its host; since then it is JSON.
func ExampleUpgrade() {
	nodes := state.Format{Prefix: "node/", Upgrade: []func([]byte) ([]byte, error){
		func(host []byte) ([]byte, error) { return fmt.Appendf(nil, `{"host":%q}`, host), nil },
	}}
	loaded := []state.Record{
		{Key: "node/kafka-0", Version: 0, Value: []byte("h1")},
		{Key: "node/kafka-1", Version: 1, Value: []byte(`{"host":"h2"}`)},
	}
	records, err := state.Upgrade(loaded, nodes)
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range records {
		fmt.Printf("%s version %d: %s\n", r.Key, r.Version, r.Value)
	}

	_, err = state.Upgrade([]state.Record{{Key: "node/kafka-2", Version: 2}}, nodes)
	fmt.Println(err)
	// Output:
	// node/kafka-0 version 1: {"host":"h1"}
	// node/kafka-1 version 1: {"host":"h2"}
	// record "node/kafka-2" has version 2 of its format, this program knows up to 1: it was written by a newer release; run that one
}

func ExampleExport() {
	records := []state.Record{
		{Key: "framework", Value: []byte("id-0001")},
		{Key: "node/kafka-0", Version: 1, Value: []byte(`{"host":"h1"}`)},
		{Key: "secret/keystore", Value: []byte("hunter2")},
	}
	secret := func(key string) bool { return key == "secret/keystore" }

	var file bytes.Buffer
	if err := state.Export(&file, records, secret); err != nil {
		log.Fatal(err)
	}
	fmt.Print(file.String())

	records, secrets, err := state.Import(&file)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(records), "records; still to be set:", secrets)
	// Output:
	// {"key":"framework","text":"id-0001"}
	// {"key":"node/kafka-0","version":1,"json":{"host":"h1"}}
	// {"key":"secret/keystore","secret":true}
	// 2 records; still to be set: [secret/keystore]
}
