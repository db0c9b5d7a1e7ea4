package scheduler

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// pipelineFrom is how many acknowledgements in a row are worth a connection of
// their own.
const pipelineFrom = 32

// pipeline sends calls on a connection of its own without waiting for the answer
// to each before the next: a burst of acknowledgements costs the network once. It
// returns how many were answered with success; all others are to be sent again,
// though some of them may have arrived. HTTP/1.1 lets a client do so (RFC 9112,
// 9.3.2), and Mesos's own scheduler library does: libprocess answers in the order
// of the requests. An acknowledgement that comes twice does no harm.
func (t *transport) pipeline(ctx context.Context, u *url.URL, streamID string, calls []outgoing) (done int, err error) {
	conn, err := t.dial(ctx, u)
	if err != nil {
		return 0, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	var writing sync.WaitGroup
	defer writing.Wait()
	defer stop()
	defer conn.Close() // ends the writing too
	writing.Go(func() {
		if err := t.writeAll(ctx, conn, u, streamID, calls); err != nil {
			_ = conn.Close() // the reading fails with it
		}
	})
	answers := bufio.NewReader(conn)
	for done < len(calls) {
		if err := conn.SetReadDeadline(time.Now().Add(callTimeout)); err != nil {
			return done, err
		}
		if err := readAnswer(answers); err != nil {
			return done, err
		}
		done++
	}
	return done, nil
}

// dial connects with the master itself. Where a proxy is between, it is the
// proxy's business how calls are sent.
func (t *transport) dial(ctx context.Context, u *url.URL) (net.Conn, error) {
	if proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u}); proxy != nil || err != nil {
		return nil, errors.New("there is a proxy")
	}
	host := u.Host
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	dialer := &net.Dialer{Timeout: dialTimeout}
	if u.Scheme == "https" {
		return (&tls.Dialer{NetDialer: dialer, Config: t.tls}).DialContext(ctx, "tcp", host)
	}
	return dialer.DialContext(ctx, "tcp", host)
}

func (t *transport) writeAll(ctx context.Context, conn net.Conn, u *url.URL, streamID string, calls []outgoing) error {
	w := bufio.NewWriterSize(conn, 64<<10)
	for _, call := range calls {
		body, err := call.Marshal()
		if err != nil {
			return err
		}
		request, err := t.request(ctx, u, streamID, body)
		if err != nil {
			return err
		}
		if err := conn.SetWriteDeadline(time.Now().Add(callTimeout)); err != nil {
			return err
		}
		if err := request.Write(w); err != nil {
			return err
		}
	}
	return w.Flush()
}

// readAnswer reads one answer, and says what is wrong with it.
func readAnswer(r *bufio.Reader) error {
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusAccepted {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return resp.Body.Close()
}
