package state

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxKey is the longest key, in bytes.
const MaxKey = 512

// ErrFenced is returned by Save when the store is not the writer: it has not
// loaded, or another writer has loaded since. Nothing of the batch was saved
// and nothing will be until the next Load. Whoever leads must step down.
var ErrFenced = errors.New("fenced: another writer has loaded the state")

// Record is one thing remembered.
type Record struct {
	// Key names the record: 1 to [MaxKey] bytes of UTF-8 without NUL. Slashes
	// have no meaning to a store.
	Key string
	// Version is the version of Value's format; see [Format].
	Version uint32
	// Value is opaque to the store. In a batch, nil deletes the key; a value
	// that is empty but not nil is kept. Load never returns nil.
	Value []byte
}

// Store is a durable set of records with a single writer. Its methods may be
// called from several goroutines.
type Store interface {
	// Load returns all records, sorted by key, and makes this store the
	// writer: every other store on the same records is fenced from then on.
	// The records belong to the caller.
	Load(ctx context.Context) ([]Record, error)

	// Save applies the batch in order, so that the last record for a key
	// wins. When it returns nil, all of the batch is durable. A batch that
	// [Check] refuses, a context that is done at the call and [ErrFenced]
	// mean that nothing was saved. After any other error the batch is there
	// whole or not at all, and the next Load tells which. Save does not keep the
	// values. An empty batch only asks whether this store is still the
	// writer.
	Save(ctx context.Context, batch []Record) error
}

// Check reports what a store must refuse in a batch. Implementations of
// [Store] call it first in Save.
func Check(batch []Record) error {
	for i, r := range batch {
		var fault string
		switch {
		case r.Key == "":
			fault = "is empty"
		case len(r.Key) > MaxKey:
			fault = fmt.Sprintf("has %d bytes, at most %d fit", len(r.Key), MaxKey)
		case !utf8.ValidString(r.Key):
			fault = "must be valid UTF-8"
		case strings.ContainsRune(r.Key, 0):
			fault = "must not contain NUL"
		default:
			continue
		}
		return fmt.Errorf("record %d of %d: key %.80q %s", i+1, len(batch), r.Key, fault)
	}
	return nil
}
