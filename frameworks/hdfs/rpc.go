package hdfs

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os/user"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// The protocols of Hadoop's servers that this framework speaks, so that no Java
// machine has to be started for a question.
const (
	clientProtocol  = "org.apache.hadoop.hdfs.protocol.ClientProtocol"
	zkfcProtocol    = "org.apache.hadoop.ha.ZKFCProtocol"
	journalProtocol = "org.apache.hadoop.hdfs.qjournal.protocol.QJournalProtocol"
)

// maxAnswer bounds what is read of an answer.
const maxAnswer = 16 << 20

// call calls a method of a Hadoop server as the user of this process.
func call(ctx context.Context, address, protocol, method string, request []byte) ([]byte, error) {
	me, err := user.Current()
	if err != nil {
		return nil, err
	}
	return callAs(ctx, me.Username, address, protocol, method, request)
}

// callAs calls a method of a Hadoop server, with its request and its answer as
// protocol buffers, by version 9 of Hadoop's own protocol, without authentication.
func callAs(ctx context.Context, who, address, protocol, method string, request []byte) ([]byte, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	id := make([]byte, 16)
	_, _ = rand.Read(id) // it never fails
	out := []byte{'h', 'r', 'p', 'c', 9, 0, 0}
	out = frame(out, rpcHeader(-3, id), connection(who, protocol))
	out = frame(out, rpcHeader(0, id), methodHeader(method, protocol), request)
	if _, err := conn.Write(out); err != nil {
		return nil, err
	}
	answer, err := receive(conn)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("%s at %s: %w", method, address, err)
	}
	return answer, nil
}

// frame adds messages, each with its length, as one with the length of all.
func frame(out []byte, messages ...[]byte) []byte {
	var body []byte
	for _, m := range messages {
		body = protowire.AppendBytes(body, m)
	}
	return append(binary.BigEndian.AppendUint32(out, uint32(len(body))), body...)
}

// rpcHeader is a RpcRequestHeaderProto: protocol buffers, one final packet.
func rpcHeader(id int32, client []byte) []byte {
	var b []byte
	b = protowire.AppendVarint(protowire.AppendTag(b, 1, protowire.VarintType), 2)
	b = protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), 0)
	b = protowire.AppendVarint(protowire.AppendTag(b, 3, protowire.VarintType), protowire.EncodeZigZag(int64(id)))
	b = protowire.AppendBytes(protowire.AppendTag(b, 4, protowire.BytesType), client)
	return protowire.AppendVarint(protowire.AppendTag(b, 5, protowire.VarintType), protowire.EncodeZigZag(-1))
}

// connection is an IpcConnectionContextProto.
func connection(user, protocol string) []byte {
	who := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), user)
	b := protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), who)
	return protowire.AppendString(protowire.AppendTag(b, 3, protowire.BytesType), protocol)
}

// methodHeader is a RequestHeaderProto.
func methodHeader(method, protocol string) []byte {
	b := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), method)
	b = protowire.AppendString(protowire.AppendTag(b, 2, protowire.BytesType), protocol)
	return protowire.AppendVarint(protowire.AppendTag(b, 3, protowire.VarintType), 1)
}

// receive reads an answer, or the exception that stands for it.
func receive(from io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(from, size[:]); err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(size[:])
	if length > maxAnswer {
		return nil, fmt.Errorf("an answer of %d bytes", length)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(from, body); err != nil {
		return nil, err
	}
	header, n := protowire.ConsumeBytes(body)
	if n < 0 {
		return nil, protowire.ParseError(n)
	}
	h, err := fields(header)
	if err != nil {
		return nil, err
	}
	if h.number(2) != 0 {
		why, _, _ := strings.Cut(cmp.Or(h.text(5), h.text(4)), "\n") // a stack follows
		return nil, errors.New(why)
	}
	answer, n := protowire.ConsumeBytes(body[n:])
	if n < 0 {
		return nil, protowire.ParseError(n)
	}
	return answer, nil
}

// message is a protocol buffer whose fields are varints and bytes.
type message map[protowire.Number][]field

type field struct {
	number uint64
	bytes  []byte
}

func fields(b []byte) (message, error) {
	out := message{}
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		b = b[n:]
		var f field
		switch kind {
		case protowire.VarintType:
			f.number, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(number, kind, b)
		}
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		b = b[n:]
		out[number] = append(out[number], f)
	}
	return out, nil
}

func (m message) number(n protowire.Number) uint64 {
	if len(m[n]) == 0 {
		return 0
	}
	return m[n][0].number
}

func (m message) text(n protowire.Number) string {
	if len(m[n]) == 0 {
		return ""
	}
	return string(m[n][0].bytes)
}

// refreshNodes has a name node read the list of data nodes that leave.
func refreshNodes(ctx context.Context, name string) error {
	_, err := call(ctx, name, clientProtocol, "refreshNodes", nil)
	return err
}

// deadNodes is the type of the report that lists data nodes that are silent.
const deadNodes = 3

// ghosts asks a name node, as the user that it runs as, for data nodes that it calls
// dead while it still counts what they held as replicas: dead is who has been silent
// for long enough, and its blocks are taken off when the name node's monitor comes
// round to it, up to dfs.namenode.stale.datanode.interval (30 s) later.
func ghosts(ctx context.Context, name, who string) (out []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	request := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), deadNodes)
	answer, err := callAs(ctx, who, name, clientProtocol, "getDatanodeReport", request)
	if err != nil {
		return nil, err
	}
	report, err := fields(answer)
	if err != nil {
		return nil, err
	}
	for _, f := range report[1] {
		info, err := fields(f.bytes) // DatanodeInfoProto
		if err != nil {
			return nil, err
		}
		id, err := fields([]byte(info.text(1)))
		if err != nil {
			return nil, err
		}
		if blocks := info.number(17); blocks > 0 {
			out = append(out, fmt.Sprintf("%s:%d", id.text(2), id.number(4)))
		}
	}
	return out, nil
}

// failOver has a failover controller make its name node the active one.
func failOver(ctx context.Context, controller string) error {
	_, err := call(ctx, controller, zkfcProtocol, "gracefulFailover", nil)
	return err
}

// segment is a file of edits, from its first transaction to its last.
type segment struct{ first, last uint64 }

// segments asks a journal node for the finished segments that it holds of a name
// service, in order, and if wanted for the one that is written to.
func segments(ctx context.Context, journal, service string, open bool) ([]segment, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	id := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), service)
	request := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), id)
	request = protowire.AppendVarint(protowire.AppendTag(request, 2, protowire.VarintType), 1)
	request = protowire.AppendVarint(protowire.AppendTag(request, 4, protowire.VarintType), protowire.EncodeBool(open))
	answer, err := call(ctx, journal, journalProtocol, "getEditLogManifest", request)
	if err != nil {
		return nil, err
	}
	outer, err := fields(answer)
	if err != nil {
		return nil, err
	}
	manifest, err := fields([]byte(outer.text(1)))
	if err != nil {
		return nil, err
	}
	var out []segment
	for _, f := range manifest[1] {
		log, err := fields(f.bytes)
		if err != nil {
			return nil, err
		}
		out = append(out, segment{first: log.number(1), last: log.number(2)})
	}
	return out, nil
}
