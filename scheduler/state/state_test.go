package state_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/mesokit/mesokit/scheduler/state"
	"github.com/mesokit/mesokit/scheduler/state/statetest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	statetest.Run(t, func(*testing.T) statetest.Place {
		m := state.NewMemory()
		return statetest.Place{Open: func() (state.Store, error) { return m.Open(), nil }}
	})
}

func TestFile(t *testing.T) {
	t.Parallel()
	statetest.Run(t, func(t *testing.T) statetest.Place {
		dir := t.TempDir()
		return statetest.Place{
			Exclusive: true,
			Open:      func() (state.Store, error) { return state.OpenFile(dir) },
		}
	})
}

// TestFileOnFailingMachine leaves out the lock, so that the suite sees a second
// writer fence the first, and cuts the power.
func TestFileOnFailingMachine(t *testing.T) {
	t.Parallel()
	statetest.Run(t, func(t *testing.T) statetest.Place {
		machine := state.NewPowerCut(t)
		return statetest.Place{
			Open: func() (state.Store, error) {
				f, err := machine.Open()
				if err == nil {
					f.Logger = quiet
				}
				return f, err
			},
			Crash: machine.Crash,
		}
	})
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, key, want string }{
		{"empty", "", "record 2 of 2: key \"\" is empty"},
		{"long", strings.Repeat("k", 513), "has 513 bytes, at most 512 fit"},
		{"not UTF-8", "a\xff", `key "a\xff" must be valid UTF-8`},
		{"NUL", "a\x00", `key "a\x00" must not contain NUL`},
		{"longest", strings.Repeat("k", 512), ""},
		{"slashes and spaces", "/ a /", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := state.Check([]state.Record{{Key: "good"}, {Key: c.key}})
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got error %v, want %q", err, c.want)
			}
		})
	}
}

func TestUpgrade(t *testing.T) {
	t.Parallel()
	add := func(s string) func([]byte) ([]byte, error) {
		return func(value []byte) ([]byte, error) { return []byte(string(value) + s), nil }
	}
	formats := []state.Format{
		{Prefix: "node/", Upgrade: []func([]byte) ([]byte, error){add("+1"), add("+2")}},
		{Prefix: "node/special/", Upgrade: []func([]byte) ([]byte, error){add("+s")}},
		{Prefix: "empty/", Upgrade: []func([]byte) ([]byte, error){func([]byte) ([]byte, error) { return nil, nil }}},
		{Prefix: "bad/", Upgrade: []func([]byte) ([]byte, error){func([]byte) ([]byte, error) { return nil, errors.New("no such field") }}},
	}
	for _, c := range []struct {
		name    string
		key     string
		version uint32
		want    string
		became  uint32
		err     string
	}{
		{name: "two steps", key: "node/1", version: 0, want: "v+1+2", became: 2},
		{name: "one step", key: "node/1", version: 1, want: "v+2", became: 2},
		{name: "up to date", key: "node/1", version: 2, want: "v", became: 2},
		{name: "longest prefix", key: "node/special/1", version: 0, want: "v+s", became: 1},
		{name: "no format", key: "other", version: 0, want: "v", became: 0},
		{name: "empty result is no deletion", key: "empty/1", version: 0, want: "", became: 1},
		{name: "newer", key: "node/1", version: 3, err: `record "node/1" has version 3 of its format, this program knows up to 2: it was written by a newer release; run that one`},
		{name: "newer without a format", key: "other", version: 1, err: `record "other" has version 1 of its format, this program knows up to 0`},
		{name: "failed", key: "bad/1", version: 0, err: `upgrade record "bad/1" from version 0 to 1: no such field`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			loaded := []state.Record{{Key: c.key, Version: c.version, Value: []byte("v")}}
			got, err := state.Upgrade(loaded, formats...)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("got error %v, want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if r := got[0]; r.Key != c.key || r.Version != c.became || r.Value == nil || string(r.Value) != c.want {
				t.Errorf("got %q version %d value %q, want version %d value %q", r.Key, r.Version, r.Value, c.became, c.want)
			}
			if loaded[0].Version != c.version || string(loaded[0].Value) != "v" {
				t.Error("the argument was changed")
			}
		})
	}
}
