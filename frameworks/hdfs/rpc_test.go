package hdfs

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
)

// listen is a Hadoop server that answers one call; nil: it never does. What it was
// asked comes as the method's name.
func listen(t *testing.T, answer []byte) (address string, asked chan string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	asked = make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
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
	}()
	return l.Addr().String(), asked
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

	at, _ = listen(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	assert.ErrorIs(t, refreshNodes(ctx, at), context.DeadlineExceeded)
}

func TestSegments(t *testing.T) {
	var manifest []byte
	for _, s := range []segment{{1, 10}, {11, 14}} {
		manifest = bytes32(manifest, 1, number32(number32(nil, 1, s.first), 2, s.last))
	}
	at, asked := listen(t, frame(nil, number32(number32(nil, 1, 0), 2, 0), bytes32(nil, 1, manifest)))
	got, err := segments(t.Context(), at, "hdfs")
	require.NoError(t, err)
	assert.Equal(t, []segment{{1, 10}, {11, 14}}, got)
	assert.Equal(t, "getEditLogManifest of "+journalProtocol, <-asked)
}

func FuzzFields(f *testing.F) {
	f.Add([]byte{8, 1, 18, 2, 'a', 'b'})
	f.Fuzz(func(_ *testing.T, data []byte) {
		_, _ = fields(data) // it must not panic
		_, _ = receive(bytes.NewReader(data))
	})
}
