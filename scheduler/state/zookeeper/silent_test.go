package zookeeper_test

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// testSilentServer has the first connection accepted and never answered, as by
// a server that is starting.
func testSilentServer(t *testing.T, p place) {
	real := newProxy(t, p.server)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	config := p.config(l.Addr().String())
	config.SessionTimeout = 9 * time.Second
	s := opened(t, config)
	silent, err := l.Accept()
	require.NoError(t, err)
	defer silent.Close()
	go func() { // from the second on it answers
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			real.serving.Go(func() { real.serve(conn) })
		}
	}()
	load(t, s)
}
