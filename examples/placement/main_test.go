package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func Example() {
	if err := run(os.Stdout, "testdata/offers.json", "testdata/spec.json"); err != nil {
		panic(err)
	}
	// Output:
	// broker-0 goes to host1.test with cpus:1;disk:2048;mem:1024;ports:[9092-9092,31000-31000]
	// broker-1 goes to host3.test with cpus:1;disk:2048;mem:1024;ports:[9092-9092,31000-31000]
	// broker-2 goes to host2.test with cpus:1;disk:2048;mem:1024;ports:[9092-9092,31000-31000]
	// monitor-0 goes to host4.test with cpus:0.5;mem:256
	// accept 1 of S0: RESERVE CREATE
	// accept 1 of S2: RESERVE CREATE
	// accept 1 of S1: RESERVE CREATE
	// accept 1 of S3: RESERVE
	// broker-3: 4 agents looked at: 3 × hostname:UNIQUE: hostname is "host1.test", placed: 1 on "host1.test"; one that nothing is placed on yet would do; 1 × mem: wants 1024, best 512 on host4.test (short by 512). It would fit with one more agent that hostname:UNIQUE takes (hostname: one that nothing is placed on yet would do), or with mem 512
	//   near: host4.test: mem: wants 1024, best 512 on host4.test (short by 512)
	//   near: host1.test: hostname:UNIQUE: hostname is "host1.test", placed: 1 on "host1.test"; one that nothing is placed on yet would do; ports: client (9092) not free
	//   near: host2.test: hostname:UNIQUE: hostname is "host2.test", placed: 1 on "host2.test"; one that nothing is placed on yet would do; ports: client (9092) not free
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ spec, err string }{
		"rule":   {`[{"name":"a","count":1,"place":["rack:UNIQE"]}]`, "UNIQUE"},
		"needs":  {`[{"name":"a","needs":"cpus:x"}]`, `"x" is not a number`},
		"JSON":   {`[`, "unexpected end"},
		"volume": {`[{"name":"a/b","count":1,"disk":5}]`, `ID "a/b-0" is not one name of a directory`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := filepath.Join(t.TempDir(), "spec.json")
			require.NoError(t, os.WriteFile(spec, []byte(c.spec), 0o600))
			assert.ErrorContains(t, run(io.Discard, "testdata/offers.json", spec), c.err)
		})
	}
	assert.ErrorIs(t, run(io.Discard, "none.json", "none.json"), os.ErrNotExist)
}
