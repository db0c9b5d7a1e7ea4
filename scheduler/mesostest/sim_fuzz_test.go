package mesostest

import (
	"errors"
	"testing"
	"time"
)

// FuzzSim lets Go's fuzzer write the storm: its input is the script of faults.
func FuzzSim(f *testing.F) {
	c := ringConfig(ring{name: "ring", nodes: 3})
	c.Storm = 2 * time.Minute
	for seed := range uint64(8) {
		f.Add(NewSim(seed, c).Script().Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		const most = 400 // faults: a run takes milliseconds
		script := ScriptOf(1, data[:min(len(data), most*scriptFault)])
		if script.Storm > time.Hour {
			t.Skip("the storm is too long")
		}
		var found *Finding
		if err := NewSim(1, c).Replay(script); errors.As(err, &found) {
			t.Fatalf("%v\n%s", found, script)
		} else if err != nil {
			t.Fatal(err)
		}
	})
}
