package executor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// check is one attempt of a probe: nil means that it passed.
type check func(ctx context.Context) error

// newCheck prepares a probe of any kind but Func and Log, which the supervisor
// answers.
func newCheck(p Probe, c command) (check, error) {
	lookup := environLookup(c.env)
	switch {
	case p.TCP != "":
		address, err := expand(p.TCP, lookup)
		if err != nil {
			return nil, fmt.Errorf("tcp %w", err)
		}
		return func(ctx context.Context) error { return checkTCP(ctx, address) }, nil
	case p.HTTP != "":
		url, err := expand(p.HTTP, lookup)
		if err != nil {
			return nil, fmt.Errorf("http %w", err)
		}
		return func(ctx context.Context) error { return checkHTTP(ctx, url) }, nil
	}
	args, err := expandAll(p.Command, c.env)
	if err != nil {
		return nil, fmt.Errorf("command %w", err)
	}
	if _, err := lookPath(args[0], c.dir, c.env); err != nil {
		return nil, fmt.Errorf("command: %w", err)
	}
	c.args = args
	return func(ctx context.Context) error { return checkCommand(ctx, c) }, nil
}

func checkTCP(ctx context.Context, address string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// probeClient follows no redirect, since it might lead to another server, and
// keeps no connection, since the next attempt is to show that one can be made.
// Like Mesos's own checks it takes any certificate: a server is asked how it is
// under an address for which it need not have one.
var probeClient = &http.Client{
	Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
	},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func checkHTTP(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := probeClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 399 {
		return fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	return nil
}

// checkCommand runs a program to its end; what it says is the reason of its
// failure.
func checkCommand(ctx context.Context, c command) error {
	var said limitedBuffer
	c.stdout, c.stderr = &said, &said
	p, err := startProcess(c)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, p.kill)
	x := <-p.exit
	switch {
	case !stop():
		err = ctx.Err()
	case x.Code != 0:
		err = fmt.Errorf("exit status %d", x.Code)
	case x.Signal != 0 || x.Lost:
		err = errors.New(x.String())
	}
	if err != nil && len(said) > 0 {
		return fmt.Errorf("%w: %s", err, said)
	}
	return err
}

// limitedBuffer keeps the beginning of what is written to it.
type limitedBuffer []byte

func (b *limitedBuffer) Write(p []byte) (int, error) {
	*b = append(*b, p[:min(len(p), 200-len(*b))]...)
	return len(p), nil
}

var _ io.Writer = (*limitedBuffer)(nil)

// ErrHopeless is what a function of a [Probe] returns, wrapped, when asking again is
// of no use: the server lives, and will never get ready or well by itself. It is
// ended at once, by Task.Ready too, which waits for a server otherwise, and the task
// fails.
var ErrHopeless = errors.New("only a new start helps")

// verdict is what a probe has come to.
type verdict struct {
	ok  bool
	why error // of the last failure
}

// watch tries check again and again until ctx ends, and tells each change: the
// first pass, then failure once p.Failures attempts in a row have failed, then
// the next pass. When fromStart is set, it is taken to have passed before it
// began, so that failures are told even when it never passes. ErrHopeless is told as
// it is, and last.
func watch(ctx context.Context, p Probe, c check, fromStart bool, tell func(verdict)) {
	p = p.withDefaults()
	passing, failures := fromStart, 0
	late := fmt.Errorf("no answer within %v", p.Timeout)
	for wait := p.Delay; sleep(ctx, wait) == nil; wait = p.Interval {
		attempt, cancel := context.WithTimeoutCause(ctx, p.Timeout, late)
		err := c(attempt)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, late): // a function has said more
		case errors.Is(err, context.DeadlineExceeded):
			err = late
		}
		if err == nil {
			failures = 0
			if !passing {
				passing = true
				tell(verdict{ok: true})
			}
			continue
		}
		if errors.Is(err, ErrHopeless) {
			tell(verdict{why: err})
			return
		}
		failures++
		if passing && failures >= p.Failures {
			passing = false
			tell(verdict{why: err})
		}
	}
}

// sleep waits for d or the end of ctx, whichever is first; the latter is an
// error.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
