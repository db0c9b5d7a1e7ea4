package state

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
)

// The journal of a [File], with all numbers little-endian:
//
//	header:  "MESOKIT\n", layout uint32, epoch uint64, base uint64, check uint32
//	         (the same in every layout)
//	frame:   'B', length uint32, number uint64, payload check uint32, head check uint32, payload, 'E'
//	payload: a batch as [AppendBatch] writes it
//
// Up to offset base the frames hold a snapshot, which was synced before the
// journal got its name. Each frame after it is one batch, synced before the
// next was begun. So a crash can leave at most one frame unfinished, the last
// one, and never below base; anything else that does not read is damage.
//
// Checks are CRC-32C. The head check is seeded with the epoch and covers the
// number (frames count from 0), so a frame in the wrong place or of another
// journal does not pass. A frame neither begins nor ends with a zero byte,
// so that a sector which reads as zeros is known not to have been written.
const (
	layoutVersion = 1

	headerSize = 32
	frameHead  = 21
	frameTail  = 1
	frameBegin = 'B'
	frameEnd   = 'E'

	// maxPayload bounds the encoded size of one batch.
	maxPayload = 1 << 30
	// snapshotFrame is the payload size at which a snapshot begins a new frame.
	snapshotFrame = 1 << 20
	// sector is the smallest unit that disks write as a whole.
	sector = 512
)

var (
	magic      = []byte("MESOKIT\n")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	le         = binary.LittleEndian
)

// DamagedError says that a journal was changed by something other than its
// writer: a failing disk, an editor, a partial copy. Nothing was loaded and
// the file is left as it is.
type DamagedError struct {
	File   string // path of the journal
	Offset int64  // in bytes, of the part that does not read
	Reason string
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("%s is damaged at offset %d: %s; restore it from a copy", e.File, e.Offset, e.Reason)
}

// journal is what there is to know about a journal in order to append to it.
type journal struct {
	epoch uint64
	base  int64  // where the snapshot ends
	size  int64  // where the last whole frame ends
	next  uint64 // number of the next frame
}

// seed starts the head checks of all frames of an epoch.
func seed(epoch uint64) uint32 {
	return crc32.Checksum(le.AppendUint64(nil, epoch), castagnoli)
}

// image returns a whole journal that holds the records as its snapshot.
func image(epoch uint64, records []Record) ([]byte, journal) {
	b := make([]byte, headerSize)
	j := journal{epoch: epoch}
	for len(records) > 0 {
		n, size := 0, 0
		for n < len(records) && (n == 0 || size < snapshotFrame) {
			size += recordSize(records[n])
			n++
		}
		b = j.appendFrame(b, records[:n])
		j.next++
		records = records[n:]
	}
	j.base = int64(len(b))
	j.size = j.base
	copy(b, header(layoutVersion, epoch, j.base))
	return b, j
}

func header(layout uint32, epoch uint64, base int64) []byte {
	b := le.AppendUint32(slices.Clone(magic), layout)
	b = le.AppendUint64(b, epoch)
	b = le.AppendUint64(b, uint64(base))
	return le.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// recordSize is the most bytes that a record takes in a payload.
func recordSize(r Record) int {
	return len(r.Key) + len(r.Value) + 3*binary.MaxVarintLen32 + 1
}

// appendFrame appends the batch as the next frame of the journal. It does not
// count it: the caller does when the frame is durable.
func (j journal) appendFrame(b []byte, batch []Record) []byte {
	start := len(b)
	b = append(b, make([]byte, frameHead)...)
	b = AppendBatch(b, batch)
	payload := b[start+frameHead:]
	head := append(b[start:start], frameBegin)
	head = le.AppendUint32(head, uint32(len(payload)))
	head = le.AppendUint64(head, j.next)
	head = le.AppendUint32(head, crc32.Checksum(payload, castagnoli))
	le.AppendUint32(head, crc32.Update(seed(j.epoch), castagnoli, head))
	return append(b, frameEnd)
}

// replay reads a journal. A torn last frame is left out: then size is less
// than len(data). Errors are a [DamagedError] without its file, or say that
// the layout is newer.
func replay(data []byte) (journal, Records, error) {
	j, err := readHeader(data)
	if err != nil {
		return journal{}, nil, err
	}
	records := Records{}
	for j.size < int64(len(data)) {
		batch, end, reason := j.readFrame(data)
		if reason != "" {
			if j.size >= j.base && j.torn(data) {
				break
			}
			return journal{}, nil, &DamagedError{Offset: j.size, Reason: reason}
		}
		records.Apply(batch)
		j.size = end
		j.next++
	}
	if j.size < j.base {
		return journal{}, nil, &DamagedError{Offset: j.size, Reason: fmt.Sprintf("the file ends within the snapshot, which goes to offset %d", j.base)}
	}
	return j, records, nil
}

func readHeader(data []byte) (journal, error) {
	damaged := func(reason string) (journal, error) {
		return journal{}, &DamagedError{Reason: reason}
	}
	switch {
	case len(data) < headerSize:
		return damaged(fmt.Sprintf("the header has %d of %d bytes", len(data), headerSize))
	case !bytes.HasPrefix(data, magic):
		return damaged("this is not a journal of Mesokit")
	}
	if crc32.Checksum(data[:28], castagnoli) != le.Uint32(data[28:]) {
		return damaged("the header does not match its check")
	}
	if layout := le.Uint32(data[8:]); layout > layoutVersion {
		return journal{}, fmt.Errorf("the journal has layout %d, this program knows up to %d: it was written by a newer release; run that one, or export the state with it and import it here", layout, layoutVersion)
	}
	base := le.Uint64(data[20:])
	if le.Uint32(data[8:]) != layoutVersion || base < headerSize || base > uint64(len(data)) {
		return damaged(fmt.Sprintf("the header tells of a snapshot to offset %d, the file has %d bytes", base, len(data)))
	}
	return journal{epoch: le.Uint64(data[12:]), base: int64(base), size: headerSize}, nil
}

// head reads the head of a frame at the start of data: whether it passes its
// check, its number, and its payload's length and check.
func (j journal) head(data []byte) (ok bool, number uint64, length, check uint32) {
	if len(data) < frameHead || data[0] != frameBegin {
		return false, 0, 0, 0
	}
	if crc32.Update(seed(j.epoch), castagnoli, data[:17]) != le.Uint32(data[17:]) {
		return false, 0, 0, 0
	}
	return true, le.Uint64(data[5:]), le.Uint32(data[1:]), le.Uint32(data[13:])
}

// readFrame reads the frame at j.size. It returns the batch, whose values are
// parts of data, and where the frame ends, or the reason why it does not read.
func (j journal) readFrame(data []byte) (batch []Record, end int64, reason string) {
	rest := data[j.size:]
	ok, number, length, check := j.head(rest)
	switch {
	case len(rest) < frameHead:
		return nil, 0, "the head of a batch is cut short"
	case !ok:
		return nil, 0, "the head of a batch does not match its check"
	case number != j.next:
		return nil, 0, fmt.Sprintf("batch %d is where batch %d belongs", number, j.next)
	}
	size := frameHead + int64(length) + frameTail
	if int64(len(rest)) < size {
		return nil, 0, fmt.Sprintf("a batch of %d bytes is cut short after %d", size, len(rest))
	}
	payload := rest[frameHead : size-frameTail]
	if rest[size-1] != frameEnd || crc32.Checksum(payload, castagnoli) != check {
		return nil, 0, "a batch does not match its check"
	}
	batch, err := ParseBatch(payload)
	if err != nil {
		return nil, 0, "a batch passes its check but does not parse: " + err.Error()
	}
	return batch, j.size + size, ""
}

// torn says whether the frame at j.size, which does not read, is what a crash
// leaves of a last write: cut short, or with sectors missing that read as
// zeros. A frame with anything after it is not the last.
func (j journal) torn(data []byte) bool {
	rest := data[j.size:]
	if len(rest) < frameHead {
		return rest[0] == frameBegin || zero(rest)
	}
	if ok, number, length, _ := j.head(rest); ok {
		size := frameHead + int64(length) + frameTail
		if number != j.next || int64(len(rest)) > size {
			return false
		}
		return int64(len(rest)) < size || slices.ContainsFunc(sectors(rest, j.size), zero)
	}
	// Where this frame ends is unknown. It is the last one when no other
	// follows.
	for i := 1; i+frameHead <= len(rest); i++ {
		if ok, number, _, _ := j.head(rest[i:]); ok && number > j.next {
			return false
		}
	}
	// The head lies in one sector or in two.
	parts := sectors(rest, j.size)
	return zero(parts[0]) || len(parts[0]) < frameHead && zero(parts[1])
}

// sectors splits data, which lies at offset in its file, where sectors begin.
func sectors(data []byte, offset int64) [][]byte {
	var parts [][]byte
	for len(data) > 0 {
		n := min(sector-int(offset%sector), len(data))
		parts = append(parts, data[:n])
		data, offset = data[n:], offset+int64(n)
	}
	return parts
}

func zero(b []byte) bool {
	return !slices.ContainsFunc(b, func(c byte) bool { return c != 0 })
}
