package state

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
)

// Records are records by their keys: what an implementation of [Store] keeps
// in memory.
type Records map[string]Record

// Apply changes the records as the batch says, in its order. It keeps copies
// of the values.
func (m Records) Apply(batch []Record) {
	for _, r := range batch {
		if r.Value == nil {
			delete(m, r.Key)
			continue
		}
		r.Value = bytes.Clone(r.Value)
		m[r.Key] = r
	}
}

// Sorted returns the records in the order of their keys, with the values
// shared.
func (m Records) Sorted() []Record {
	list := make([]Record, 0, len(m))
	for _, r := range m {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b Record) int { return cmp.Compare(a.Key, b.Key) })
	return list
}

// Snapshot returns the records in the order of their keys, with the values
// copied: what Load owes its caller.
func (m Records) Snapshot() []Record {
	list := m.Sorted()
	for i := range list {
		list[i].Value = bytes.Clone(list[i].Value)
	}
	return list
}

// AppendBatch appends a batch to b in the encoding of the stores of this
// module: the count, then for each record the length of its key, the key, and
// either 0 (delete) or 1, the version, the length of the value and the value.
// Counts, lengths and versions are uvarints. It has no check of its own.
func AppendBatch(b []byte, batch []Record) []byte {
	b = binary.AppendUvarint(b, uint64(len(batch)))
	for _, r := range batch {
		b = binary.AppendUvarint(b, uint64(len(r.Key)))
		b = append(b, r.Key...)
		if r.Value == nil {
			b = append(b, 0)
			continue
		}
		b = append(b, 1)
		b = binary.AppendUvarint(b, uint64(r.Version))
		b = binary.AppendUvarint(b, uint64(len(r.Value)))
		b = append(b, r.Value...)
	}
	return b
}

// ParseBatch reads what [AppendBatch] wrote. The values are parts of data. It
// refuses what [Check] refuses.
func ParseBatch(data []byte) ([]Record, error) {
	p := parser{data: data}
	var batch []Record
	for count := p.number(); !p.failed && count > 0; count-- {
		r := Record{Key: string(p.take(p.number()))}
		switch kind := p.take(1); {
		case p.failed:
		case kind[0] == 1:
			version := p.number()
			p.failed = p.failed || version > 1<<32-1
			r.Version, r.Value = uint32(version), p.take(p.number())
		case kind[0] != 0:
			p.failed = true
		}
		batch = append(batch, r)
	}
	if p.failed || len(p.data) > 0 {
		return nil, errors.New("this is no batch of records")
	}
	if err := Check(batch); err != nil {
		return nil, err
	}
	return batch, nil
}

// parser takes data apart from its front.
type parser struct {
	data   []byte
	failed bool
}

func (p *parser) number() uint64 {
	v, n := binary.Uvarint(p.data)
	if n <= 0 {
		p.failed = true
		return 0
	}
	p.data = p.data[n:]
	return v
}

func (p *parser) take(n uint64) []byte {
	if p.failed || n > uint64(len(p.data)) {
		p.failed = true
		return nil
	}
	b := p.data[:n:n]
	p.data = p.data[n:]
	return b
}
