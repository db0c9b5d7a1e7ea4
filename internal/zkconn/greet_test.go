package zkconn

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// TestGreetGivesUp: a server that accepts and says nothing, or not all.
func TestGreetGivesUp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		session time.Duration
		said    int // bytes that come
		want    time.Duration
	}{
		{"nothing", 12 * time.Second, 0, 4 * time.Second},
		{"short session", time.Second, 0, 3 * time.Second},
		{"long session", time.Hour, 0, 10 * time.Second},
		{"less than all", 12 * time.Second, 4, 4 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server, client := net.Pipe()
				defer server.Close()
				conn := Greet(client, c.session, nil)
				defer conn.Close()
				go func() { _, _ = server.Write(make([]byte, c.said)) }()
				began := time.Now()
				if err := conn.SetReadDeadline(began.Add(time.Hour)); err != nil {
					t.Fatal(err)
				}
				_, err := io.ReadFull(conn, make([]byte, greeting))
				if took := time.Since(began); !errors.Is(err, os.ErrDeadlineExceeded) || took != c.want {
					t.Errorf("gave up after %v with %v, want %v", took, err, c.want)
				}
			})
		})
	}
}

// TestGreetTells what was granted, whatever the answer is split into, and that
// no deadline is changed after it.
func TestGreetTells(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		answer []byte
		want   time.Duration
	}{
		{"granted", []byte{0, 0, 0, 36, 0, 0, 0, 0, 0, 0, 0x0f, 0xa0, 1, 2, 3}, 4 * time.Second},
		{"expired", []byte{0, 0, 0, 36, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3}, 0},
		{"no time", []byte{0, 0, 0, 36, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server, client := net.Pipe()
				defer server.Close()
				got := time.Duration(0)
				conn := Greet(client, 12*time.Second, func(d time.Duration) { got += d })
				defer conn.Close()
				go func() {
					for i := range c.answer {
						_, _ = server.Write(c.answer[i : i+1])
					}
				}()
				if _, err := io.ReadFull(conn, make([]byte, len(c.answer))); err != nil {
					t.Fatal(err)
				}
				if got != c.want {
					t.Errorf("told %v, want %v", got, c.want)
				}
				began := time.Now()
				if err := conn.SetReadDeadline(began.Add(time.Minute)); err != nil {
					t.Fatal(err)
				}
				if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != time.Minute {
					t.Errorf("gave up after %v with %v", time.Since(began), err)
				}
			})
		})
	}
}
