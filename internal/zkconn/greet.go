package zkconn

import (
	"encoding/binary"
	"net"
	"time"
)

const (
	// greeting is how many bytes of a server's first answer matter.
	greeting = 12

	// A third of the session timeout within these bounds is how long the first
	// answer may take.
	minGreeting = 3 * time.Second
	maxGreeting = 10 * time.Second
)

// Greet returns conn with a bound on the wait for the server's first answer: a
// third of the session timeout that is asked for, at least 3 s and at most 10.
// granted, unless it is nil, is told the timeout that the server grants, which
// the library keeps to itself; not when the session has expired.
func Greet(conn net.Conn, session time.Duration, granted func(time.Duration)) net.Conn {
	return &greeted{Conn: conn, patience: min(max(session/3, minGreeting), maxGreeting), granted: granted}
}

// greeted is a connection that listens to its first answer: the answer's length,
// protocol version and session timeout in milliseconds, each an int32 with the
// high byte first (ZooKeeper's ConnectResponse).
type greeted struct {
	net.Conn
	head     []byte
	patience time.Duration
	granted  func(time.Duration)
}

// SetReadDeadline sets the deadline, or an earlier one while the first answer is
// to come. The library sets one before that, and none when it has begun.
func (g *greeted) SetReadDeadline(t time.Time) error {
	if limit := time.Now().Add(g.patience); len(g.head) < greeting && (t.IsZero() || t.After(limit)) {
		t = limit
	}
	return g.Conn.SetReadDeadline(t)
}

func (g *greeted) Read(b []byte) (int, error) {
	n, err := g.Conn.Read(b)
	if missing := greeting - len(g.head); missing > 0 {
		g.head = append(g.head, b[:min(n, missing)]...)
		if len(g.head) == greeting && g.granted != nil {
			// An expired session has a timeout of 0.
			if ms := int32(binary.BigEndian.Uint32(g.head[8:])); ms > 0 {
				g.granted(time.Duration(ms) * time.Millisecond)
			}
		}
	}
	return n, err
}
