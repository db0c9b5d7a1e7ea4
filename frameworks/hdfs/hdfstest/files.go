package hdfstest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os/user"
	"sync"
	"time"

	"github.com/colinmarc/hdfs/v2"

	"github.com/mesokit/mesokit/frameworks"
)

// folder holds the files.
const folder = "/mesokit"

// Files are files by number. The methods may be called from any goroutine; one
// works at a time.
type Files struct {
	api frameworks.Client

	mu       sync.Mutex
	client   *hdfs.Client // nil: a new one is to be made
	attempts int
	parts    []string // of writes that failed: open files, which keep a data node from leaving
	errors   int
	last     error
	stall    time.Duration
}

// New finds the name nodes by a service's API.
func New(api frameworks.Client) *Files { return &Files{api: api} }

// Close ends the connections.
func (f *Files) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drop()
}

func (f *Files) drop() {
	if f.client != nil {
		_ = f.client.Close() // it has failed, or is not wanted any more
		f.client = nil
	}
}

// Content is what file i holds: a checksum of its number, and of that checksum, and
// so on.
func Content(i, size int) []byte {
	var out bytes.Buffer
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
	for out.Len() < size {
		out.Write(sum[:])
		sum = sha256.Sum256(sum[:])
	}
	return out.Bytes()[:size]
}

// Write returns when file i is acknowledged.
func (f *Files) Write(ctx context.Context, i int, content []byte) error {
	return f.insist(ctx, func(c *hdfs.Client, attempt int) error {
		for len(f.parts) > 0 {
			if err := c.Remove(f.parts[0]); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			f.parts = f.parts[1:]
		}
		if err := c.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		part := fmt.Sprintf("%s/%d.part-%d", folder, i, attempt)
		f.parts = append(f.parts, part)
		w, err := c.Create(part)
		if err != nil {
			return err
		}
		if err := w.SetDeadline(time.Now().Add(silence)); err != nil {
			return err
		}
		_, err = w.Write(content)
		for again := range 50 {
			closed := w.Close()
			if !hdfs.IsErrReplicating(closed) || again == 49 {
				err = errors.Join(err, closed)
				break
			}
			<-time.After(100 * time.Millisecond)
		}
		if err != nil {
			return err
		}
		if err := c.Rename(part, path(i)); err != nil {
			return err
		}
		f.parts = nil
		return nil
	})
}

// Read returns an error if file i cannot be read, or is not what was written,
// after trying for as long as ctx lasts.
func (f *Files) Read(ctx context.Context, i int, want []byte) error {
	return f.insist(ctx, func(c *hdfs.Client, _ int) error {
		got, err := c.ReadFile(path(i))
		if err == nil && !bytes.Equal(got, want) {
			err = fmt.Errorf("file %d: %d bytes that are not what was written", i, len(got))
		}
		return err
	})
}

func path(i int) string { return fmt.Sprintf("%s/%d", folder, i) }

// Trouble is how many errors the client has returned so far, the longest that one
// write or read took, and the last of the errors.
func (f *Files) Trouble() (count int, stall time.Duration, last error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.errors, f.stall, f.last
}

// silence is how long a server may be silent before it is given up.
const silence = 20 * time.Second

func (f *Files) insist(ctx context.Context, try func(c *hdfs.Client, attempt int) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	began := time.Now()
	defer func() { f.stall = max(f.stall, time.Since(began)) }()
	for {
		f.attempts++
		err := f.connect(ctx)
		if err == nil {
			err = try(f.client, f.attempts)
		}
		if err == nil {
			return nil
		}
		f.errors, f.last = f.errors+1, err
		f.drop()
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// connect makes a client for all name nodes, unless there is one.
func (f *Files) connect(ctx context.Context) error {
	if f.client != nil {
		return nil
	}
	status, err := f.api.Status(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, n := range status.Nodes {
		if n.Pod == "name" && n.Place != nil {
			names = append(names, n.Address("rpc"))
		}
	}
	me, err := user.Current()
	if err != nil {
		return err
	}
	f.client, err = hdfs.NewClient(hdfs.ClientOptions{
		Addresses: names, User: me.Username, UseDatanodeHostname: true, NamenodeDialFunc: dial,
	})
	return err
}

// dial ends connections that are silent for too long, for which the client has no
// time limit of its own.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: silence}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return limited{conn}, nil
}

type limited struct{ net.Conn }

func (c limited) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(silence)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(b)
	if errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
		c.Conn.Close()
	}
	return n, err
}

func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}
