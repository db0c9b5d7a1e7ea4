package zookeeper_test

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Numbers of requests in ZooKeeper's protocol (ZooDefs.OpCode).
const (
	opCreate = 1
	opDelete = 2
	opExists = 3
	opGet    = 4
	opSet    = 5
	opMulti  = 14
)

// fate is what becomes of a request.
type fate int

const (
	delivered  fate = iota
	lost            // with the connection, before the server has it
	unanswered      // the server has carried it out, the connection is lost before the answer
)

// proxy stands between one process and the server.
type proxy struct {
	address string
	server  string
	l       net.Listener
	serving sync.WaitGroup

	mu     sync.Mutex
	decide func(op int32, request []byte) fate
	cut    bool // nothing passes
	conns  map[net.Conn]bool

	session []byte // id, and password with its length
}

func newProxy(t testing.TB, server string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{address: l.Addr().String(), server: server, l: l, conns: map[net.Conn]bool{}}
	p.serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p.serving.Go(func() { p.serve(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.setCut(true)
		p.serving.Wait()
	})
	return p
}

// intercept lets decide say what becomes of each request; nil: all delivered.
func (p *proxy) intercept(decide func(op int32, request []byte) fate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.decide = decide
}

// setCut ends all connections and lets none be made, or ends that.
func (p *proxy) setCut(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = cut
	for conn := range p.conns {
		if cut {
			conn.Close()
		}
	}
}

// keep has the connection closed when the process is cut off.
func (p *proxy) keep(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[conn] = true
	return !p.cut
}

func (p *proxy) drop(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, conn)
	conn.Close()
}

func (p *proxy) fateOf(request []byte) fate {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.cut:
		return lost
	case p.decide == nil || len(request) < 8:
		return delivered
	}
	return p.decide(int32(binary.BigEndian.Uint32(request[4:])), request)
}

func (p *proxy) serve(client net.Conn) {
	defer p.drop(client)
	if !p.keep(client) {
		return
	}
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer p.drop(server)
	if !p.keep(server) {
		return
	}
	answers := &answers{to: client, proxy: p}
	p.serving.Go(func() {
		defer client.Close()
		io.Copy(answers, server)
		answers.end()
	})
	for first := true; ; first = false {
		frame, err := readFrame(client)
		if err != nil {
			return
		}
		f := delivered
		if !first { // the first has no operation: it opens the session
			f = p.fateOf(frame[4:])
		}
		if f == lost {
			return
		}
		carriedOut := answers.hold(f == unanswered)
		if _, err := server.Write(frame); err != nil {
			return
		}
		if f == unanswered {
			<-carriedOut
			return
		}
	}
}

// readFrame reads a request with its length.
func readFrame(r io.Reader) ([]byte, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	frame := append(head, make([]byte, binary.BigEndian.Uint32(head))...)
	_, err := io.ReadFull(r, frame[4:])
	return frame, err
}

// answers passes to the client what the server says, until it is told to hold
// it back.
type answers struct {
	to    io.Writer
	proxy *proxy

	mu    sync.Mutex
	first []byte        // the answer that opens the session
	held  chan struct{} // closed when there was something to hold back, or never will be
	once  sync.Once
}

func (a *answers) hold(back bool) <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if back && a.held == nil {
		a.held = make(chan struct{})
	}
	return a.held
}

func (a *answers) Write(b []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if missing := sessionHead - len(a.first); missing > 0 {
		a.first = append(a.first, b[:min(missing, len(b))]...)
		if len(a.first) == sessionHead {
			a.proxy.opened(a.first)
		}
	}
	if a.held != nil {
		a.once.Do(func() { close(a.held) })
		return len(b), nil
	}
	return a.to.Write(b)
}

func (a *answers) end() {
	a.hold(true)
	a.once.Do(func() { close(a.held) })
}

// sessionHead is the size of ConnectResponse as far as it matters: length,
// protocol version, timeout (int32 each), session (int64), password (int32
// length and 16 bytes).
const sessionHead = 4 + 4 + 4 + 8 + 4 + 16

func (p *proxy) opened(answer []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.session = answer[12:]
}

// expire has the server forget the session of the process, at once: by closing
// it in its name.
func (p *proxy) expire(t testing.TB) {
	t.Helper()
	p.setCut(true)
	p.mu.Lock()
	session := p.session
	p.mu.Unlock()
	conn, err := net.Dial("tcp", p.server)
	require.NoError(t, err)
	defer conn.Close()
	open := make([]byte, 4+4+8+4) // length, protocol version, last zxid, timeout
	binary.BigEndian.PutUint32(open, uint32(len(open)-4+len(session)))
	binary.BigEndian.PutUint32(open[16:], 20_000)
	_, err = conn.Write(append(open, session...))
	require.NoError(t, err)
	_, err = readFrame(conn)
	require.NoError(t, err)
	_, err = conn.Write([]byte{0, 0, 0, 8, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xf5}) // xid 1, closeSession -11
	require.NoError(t, err)
	_, err = readFrame(conn)
	require.NoError(t, err)
	p.setCut(false)
}
