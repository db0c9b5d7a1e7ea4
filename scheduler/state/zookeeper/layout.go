package zookeeper

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"

	"github.com/mesokit/mesokit/scheduler/state"
)

// The state below its path:
//
//	/header               JSON: layout, epoch and writer, where the snapshot is
//	/log/<number>         one batch, or where it is; numbers go up by one
//	/parts/<name>-<part>  what is larger than one node: batches and snapshots
//	/candidates/<...>     one ephemeral node for each who leads or stands by
//
// The records are the snapshot with the batches from the header's first number
// on. Each Load changes the header, and each write checks in one transaction
// that the header has the version that its writer gave it: so a writer can
// change nothing after the Load of another. A batch exists when its node in the
// log does, with all of its parts made before; a snapshot when the header names
// it. Other parts, and batches before the first, are left-overs.
const (
	layoutVersion = 1

	headerNode     = "/header"
	logNode        = "/log"
	partsNode      = "/parts"
	candidatesNode = "/candidates"

	// maxPart is well below the 1 MiB that a server takes in one request
	// (jute.maxbuffer).
	maxPart = 768 << 10

	// A node of the log: its kind, a check over number, kind and body, the body.
	kindBatch = 'B' // the body is a batch
	kindParts = 'P' // the body says which parts hold it, as JSON
	nodeHead  = 5
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is the root of the state.
type header struct {
	Layout   int    `json:"layout"`
	Epoch    uint64 `json:"epoch"`            // 0 before the first Load
	Writer   string `json:"writer,omitempty"` // for people
	First    uint64 `json:"first"`            // number of the first batch after the snapshot
	Snapshot *parts `json:"snapshot,omitempty"`
}

func (h header) encode() []byte {
	data, err := json.Marshal(h)
	if err != nil {
		panic(err) // there is nothing in it that could fail
	}
	return data
}

func decodeHeader(data []byte) (header, error) {
	var h header
	err := json.Unmarshal(data, &h)
	if err == nil && h.Layout > layoutVersion {
		return h, fmt.Errorf("the state has layout %d, this program knows up to %d: it was written by a newer release; run that one, or export the state with it and import it here", h.Layout, layoutVersion)
	}
	if err == nil && (h.Layout != layoutVersion || h.First == 0) {
		err = errors.New("this is no header of a state")
	}
	return h, err
}

// parts name the nodes that together hold something.
type parts struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
	Bytes int    `json:"bytes"` // of all of them
	Check uint32 `json:"check"` // CRC-32C of all of them
}

func (p parts) encode() []byte {
	data, err := json.Marshal(p)
	if err != nil {
		panic(err) // there is nothing in it that could fail
	}
	return data
}

func (p parts) node(i int) string { return fmt.Sprintf("%s/%s-%d", partsNode, p.Name, i) }

// split cuts data into parts of some size.
func split(name string, data []byte, size int) (parts, [][]byte) {
	p := parts{Name: name, Bytes: len(data), Check: crc32.Checksum(data, castagnoli)}
	var pieces [][]byte
	for len(data) > 0 {
		n := min(size, len(data))
		pieces = append(pieces, data[:n])
		data = data[n:]
	}
	p.Count = len(pieces)
	return p, pieces
}

func batchNode(number uint64) string { return fmt.Sprintf("%s/%020d", logNode, number) }

// batchNumber reads the name of a node in the log.
func batchNumber(name string) (uint64, bool) {
	n, err := strconv.ParseUint(name, 10, 64)
	return n, err == nil
}

func encodeNode(number uint64, kind byte, body []byte) []byte {
	b := append(make([]byte, 0, nodeHead+len(body)), kind, 0, 0, 0, 0)
	b = append(b, body...)
	binary.LittleEndian.PutUint32(b[1:], nodeCheck(number, b))
	return b
}

func nodeCheck(number uint64, node []byte) uint32 {
	check := crc32.Checksum(binary.LittleEndian.AppendUint64(nil, number), castagnoli)
	check = crc32.Update(check, castagnoli, node[:1])
	return crc32.Update(check, castagnoli, node[nodeHead:])
}

// decodeNode returns the batch of a node in the log, or the parts that hold it.
func decodeNode(number uint64, node []byte) (batch []state.Record, in *parts, err error) {
	if len(node) < nodeHead || nodeCheck(number, node) != binary.LittleEndian.Uint32(node[1:]) {
		return nil, nil, errors.New("the batch does not match its check")
	}
	switch body := node[nodeHead:]; node[0] {
	case kindBatch:
		batch, err = state.ParseBatch(body)
		return batch, nil, err
	case kindParts:
		in = &parts{}
		return nil, in, json.Unmarshal(body, in)
	}
	return nil, nil, fmt.Errorf("the batch is of the unknown kind %q", node[0])
}
