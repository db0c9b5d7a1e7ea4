package mesostest

import (
	"errors"
	"testing"
	"time"
)

// Fuzz lets Go's fuzzer write the storm: the script of faults is its corpus. In
// a test, with go test -fuzz=FuzzStorm:
//
//	func FuzzStorm(f *testing.F) { mesostest.Fuzz(f, config) }
//
// The scripts of the first seeds are the corpus to begin with. What it finds is
// kept by the fuzzer, in testdata/fuzz, and printed as a script, which may be
// saved in testdata/sim/<name of a test>, where [Simulate] replays it.
func Fuzz(f *testing.F, config func() SimConfig) {
	f.Helper()
	for seed := range uint64(8) {
		f.Add(NewSim(seed, config()).Script().Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		script := ScriptOf(1, data[:min(len(data), fuzzFaults*scriptFault)])
		if script.Storm > time.Hour {
			t.Skip("the storm is too long")
		}
		var found *Finding
		if err := NewSim(1, config()).Replay(script); errors.As(err, &found) {
			t.Fatalf("%v\n%s", found, script)
		} else if err != nil {
			t.Fatal(err)
		}
	})
}

// fuzzFaults bounds a fuzzer's storm: a run takes milliseconds.
const fuzzFaults = 400
