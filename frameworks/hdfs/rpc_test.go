package hdfs

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
)

// listen is a Hadoop server that gives these answers, one a call; nil: never. What
// it was asked comes as the methods' names.
func listen(t *testing.T, answers ...[]byte) (address string, asked chan string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	asked = make(chan string, len(answers))
	go func() {
		for _, answer := range answers {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			converse(conn, answer, asked)
		}
	}()
	return l.Addr().String(), asked
}

func converse(conn net.Conn, answer []byte, asked chan<- string) {
	defer conn.Close()
	var preamble [7]byte
	if _, err := io.ReadFull(conn, preamble[:]); err != nil || !bytes.Equal(preamble[:], []byte("hrpc\x09\x00\x00")) {
		return
	}
	for range 2 { // who calls, and what
		var size [4]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(conn, body); err != nil {
			return
		}
		_, n := protowire.ConsumeBytes(body)
		second, _ := protowire.ConsumeBytes(body[n:])
		if m, err := fields(second); err == nil && len(m[2]) > 0 && m.number(3) == 1 {
			asked <- m.text(1) + " of " + m.text(2)
		}
	}
	if answer != nil {
		_, _ = conn.Write(answer)
	}
	_, _ = io.Copy(io.Discard, conn) // until the caller has gone
}

// journalAnswers is the port of a journal node that answers what it holds, each
// time the next.
func journalAnswers(t *testing.T, holds ...[]segment) uint64 {
	var answers [][]byte
	for _, held := range holds {
		var manifest []byte
		for _, s := range held {
			manifest = bytes32(manifest, 1, number32(number32(nil, 1, s.first), 2, s.last))
		}
		answers = append(answers, frame(nil, number32(number32(nil, 1, 0), 2, 0), bytes32(nil, 1, manifest)))
	}
	at, _ := listen(t, answers...)
	_, port, err := net.SplitHostPort(at)
	require.NoError(t, err)
	number, err := strconv.ParseUint(port, 10, 16)
	require.NoError(t, err)
	return number
}

func number32(b []byte, n protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), v)
}

func bytes32(b []byte, n protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), v)
}

func TestCall(t *testing.T) {
	well := number32(number32(nil, 1, 0), 2, 0)
	badly := bytes32(bytes32(number32(number32(nil, 1, 0), 2, 1), 4, []byte("org.Exception")), 5, []byte("Access denied\n\tat Class.method"))

	at, asked := listen(t, frame(nil, well, nil))
	require.NoError(t, refreshNodes(t.Context(), at))
	assert.Equal(t, "refreshNodes of "+clientProtocol, <-asked)

	at, _ = listen(t, frame(nil, badly))
	assert.EqualError(t, failOver(t.Context(), at), "gracefulFailover at "+at+": Access denied", "without the stack")

	at, _ = listen(t, []byte{0xff, 0xff, 0xff, 0xff})
	assert.ErrorContains(t, refreshNodes(t.Context(), at), "an answer of 4294967295 bytes")

	at, _ = listen(t, []byte(nil))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	assert.ErrorIs(t, refreshNodes(ctx, at), context.DeadlineExceeded)
}

func TestSegments(t *testing.T) {
	port := journalAnswers(t, []segment{{1, 10}, {11, 14}})
	got, err := segments(t.Context(), fmt.Sprint("127.0.0.1:", port), "hdfs", true)
	require.NoError(t, err)
	assert.Equal(t, []segment{{1, 10}, {11, 14}}, got)
}

// TestGhosts: of the dead, those whose blocks are counted.
func TestGhosts(t *testing.T) {
	node := func(host string, blocks uint64) []byte {
		id := number32(bytes32(bytes32(nil, 1, []byte("127.0.0.1")), 2, []byte(host)), 4, 4000)
		return number32(bytes32(nil, 1, id), 17, blocks)
	}
	report := bytes32(bytes32(nil, 1, node("10.0.0.8", 0)), 1, node("10.0.0.9", 12))
	d := deployment()
	runtime := map[string]any{"SystemProperties": []map[string]string{{"key": "java.home", "value": "/"}, {"key": "user.name", "value": "hadoop"}}}
	serve(t, d, "name-0", beans{"java.lang:type=Runtime": runtime})
	at, asked := listen(t, frame(nil, number32(number32(nil, 1, 0), 2, 0), report))
	_, port, err := net.SplitHostPort(at)
	require.NoError(t, err)
	name := named(t, d, "name-0")
	name.Place.Ports[rpcPort], err = strconv.ParseUint(port, 10, 16)
	require.NoError(t, err)
	got, err := network{}.ghosts(t.Context(), name)
	require.NoError(t, err)
	assert.Equal(t, []string{"10.0.0.9:4000"}, got)
	assert.Equal(t, "getDatanodeReport of "+clientProtocol, <-asked)
}

func FuzzFields(f *testing.F) {
	f.Add([]byte{8, 1, 18, 2, 'a', 'b'})
	f.Fuzz(func(_ *testing.T, data []byte) {
		_, _ = fields(data) // it must not panic
		_, _ = receive(bytes.NewReader(data))
	})
}
