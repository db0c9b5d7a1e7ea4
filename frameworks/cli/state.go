package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/mesokit/mesokit/scheduler/state"
	"github.com/mesokit/mesokit/scheduler/state/zookeeper"
)

// memory is what a scheduler keeps for its next run, and for whoever takes over.
type memory struct {
	store interface {
		state.Store
		Close() error
	}
	// lead waits until this scheduler is the one that leads; the context that
	// it returns ends with the lead.
	lead func(context.Context) (context.Context, error)
}

// openMemory opens a directory, or a place in ZooKeeper.
func openMemory(where string, log *slog.Logger) (memory, error) {
	if !strings.HasPrefix(where, "zk://") {
		store, err := state.OpenFile(where)
		if err != nil {
			return memory{}, err
		}
		return memory{store, func(ctx context.Context) (context.Context, error) { return ctx, nil }}, nil
	}
	store, err := zookeeper.Open(zookeeper.Config{URL: where, Logger: log})
	if err != nil {
		return memory{}, UsageError{fmt.Errorf("--state: %w", err)}
	}
	return memory{store, store.Lead}, nil
}

// standBy waits until this scheduler leads. Until then operators are told that
// it does not; then the listener is a new one on the same address.
func (m memory) standBy(ctx context.Context, l net.Listener) (lead context.Context, again net.Listener, err error) {
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"error": "this scheduler stands by: ask the one that leads"}`) // the operator hung up
	})}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) }) // it ends by Close
	lead, err = m.lead(ctx)
	err = errors.Join(err, server.Close())
	serving.Wait()
	if err != nil {
		return nil, nil, err
	}
	again, err = listen(l.Addr().String())
	return lead, again, err
}

// withoutPassword is where a memory is, for people to read.
func withoutPassword(where string) string {
	rest, ok := strings.CutPrefix(where, "zk://")
	if at := strings.LastIndex(rest, "@"); ok && at >= 0 {
		return "zk://" + rest[at+1:]
	}
	return where
}
