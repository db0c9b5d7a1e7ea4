package wire

import "encoding/binary"

// The wire types of protocol buffers that occur in offers.
const (
	varint  = 0
	fixed64 = 1
	bytes   = 2
)

// fields walks the fields of one message.
type fields struct {
	rest string // what is still to be read
	tag  int    // of the current field: number<<3 | wire type
	seen uint64 // numbers of fields that occurred, for those that must not again

	value uint64 // of a varint or fixed64 field
	text  string // of a bytes field

	bad bool // the message is malformed
}

// next reads a field, and reports false at the end and when there is none.
func (f *fields) next() bool {
	if f.rest == "" || f.bad {
		return false
	}
	if b := f.rest[0]; b < 0x80 { // all tags of offers are of one byte
		f.tag, f.rest = int(b), f.rest[1:]
	} else {
		f.tag = int(f.varint())
	}
	switch f.tag & 7 {
	case varint:
		f.value = f.varint()
	case fixed64:
		if len(f.rest) < 8 {
			f.bad = true
			return false
		}
		f.value = binary.LittleEndian.Uint64([]byte(f.rest[:8]))
		f.rest = f.rest[8:]
	case bytes:
		var n uint64
		if f.rest != "" && f.rest[0] < 0x80 {
			n, f.rest = uint64(f.rest[0]), f.rest[1:]
		} else {
			n = f.varint()
		}
		if n > uint64(len(f.rest)) {
			f.bad = true
			return false
		}
		f.text, f.rest = f.rest[:n], f.rest[n:]
	default:
		f.bad = true
	}
	return !f.bad
}

func (f *fields) varint() uint64 {
	var v uint64
	for i := 0; i < len(f.rest) && i < 10; i++ {
		b := f.rest[i]
		v |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			f.rest = f.rest[i+1:]
			return v
		}
	}
	f.bad = true
	return 0
}

// once reports whether the current field occurs for the first time. Where a
// message is repeated that should not be, protocol buffers merge, which is left
// to mesos-go.
func (f *fields) once() bool {
	bit := uint64(1) << (f.tag >> 3 & 63)
	first := f.seen&bit == 0
	f.seen |= bit
	return first
}

// has reports whether the message ended well and had the fields with these
// numbers.
func (f *fields) has(numbers ...int) bool {
	for _, n := range numbers {
		if f.seen&(1<<n) == 0 {
			return false
		}
	}
	return !f.bad
}

// run splits a message after the fields of one tag that it begins with.
func run(message string, tag int) (fieldsOfTag, rest string) {
	f := fields{rest: message}
	for f.rest != "" && int(f.rest[0]) == tag && f.next() {
	}
	return message[:len(message)-len(f.rest)], f.rest
}
