package state

import (
	"fmt"
	"strings"
)

// Format is what a program knows about the values under a prefix of keys. A
// new format has no upgrades and version 0. When the shape of its values
// changes, append the function that turns the old shape into the new one:
// that raises the version by one.
type Format struct {
	// Prefix selects the keys; where several fit, the longest decides.
	Prefix string
	// Upgrade[v] turns a value of version v into one of version v+1. It must
	// not change its argument.
	Upgrade []func(value []byte) ([]byte, error)
}

// Version is the version that this program writes, for [Record.Version].
func (f Format) Version() uint32 { return uint32(len(f.Upgrade)) }

// Upgrade returns the records with every value in the newest version that the
// formats know. A record of a version newer than that is an error: it was
// written by a newer program, and this one would misread it. A key that no
// format claims must have version 0. Nothing is saved; an upgraded record
// becomes durable when it is next saved.
func Upgrade(records []Record, formats ...Format) ([]Record, error) {
	upgraded := make([]Record, len(records))
	for i, r := range records {
		f := formatOf(r.Key, formats)
		if r.Version > f.Version() {
			return nil, fmt.Errorf("record %q has version %d of its format, this program knows up to %d: it was written by a newer release; run that one", r.Key, r.Version, f.Version())
		}
		for ; r.Version < f.Version(); r.Version++ {
			value, err := f.Upgrade[r.Version](r.Value)
			if err != nil {
				return nil, fmt.Errorf("upgrade record %q from version %d to %d: %w", r.Key, r.Version, r.Version+1, err)
			}
			if value == nil {
				// nil would delete the record when it is saved.
				value = []byte{}
			}
			r.Value = value
		}
		upgraded[i] = r
	}
	return upgraded, nil
}

// formatOf returns the format with the longest prefix of key, or the zero
// Format.
func formatOf(key string, formats []Format) Format {
	var best Format
	for _, f := range formats {
		if strings.HasPrefix(key, f.Prefix) && len(f.Prefix) >= len(best.Prefix) {
			best = f
		}
	}
	return best
}
