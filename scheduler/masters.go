package scheduler

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/mesokit/mesokit/internal/detector"
)

// masters knows where a leader may be found.
type masters interface {
	// next is where to try; it may wait until a leader is known.
	next(ctx context.Context) (*url.URL, error)
	// replaced waits until another master is known to lead than the one that
	// goes by these names, and says which; empty: ctx has ended.
	replaced(ctx context.Context, hosts ...string) string
	// failed says that the last one to be tried is not of use now.
	failed()
	// follow keeps up with changes until ctx ends.
	follow(ctx context.Context, log *slog.Logger)
}

// parseMasters reads Config.Master; scheme is that of masters which ZooKeeper
// names: their nodes do not say it.
func parseMasters(s, scheme string) (masters, error) {
	if s == "" {
		return nil, fmt.Errorf("Config.Master is empty: give host:port, a URL, several of them with commas, or zk://host:port,…/path")
	}
	if strings.HasPrefix(s, "zk://") {
		ensemble, err := detector.Parse(s)
		if err != nil {
			return nil, fmt.Errorf("Config.Master: %w", err) // without the URL, which may hold a password
		}
		return &electedMasters{ensemble: ensemble, scheme: scheme, changed: make(chan struct{})}, nil
	}
	var list masterList
	for i, part := range strings.Split(s, ",") {
		if strings.Contains(part, "@") { // an error must not show the password
			return nil, fmt.Errorf("Config.Master holds a credential in its part %d: it belongs into Config.Credential", i+1)
		}
		u, err := parseMaster(strings.TrimSpace(part))
		if err != nil {
			return nil, fmt.Errorf("Config.Master has %q: %w", part, err)
		}
		list.urls = append(list.urls, u)
	}
	return &list, nil
}

func parseMaster(s string) (*url.URL, error) {
	if !strings.Contains(s, "://") {
		s = "http://" + s
	}
	u, err := url.Parse(s)
	if err != nil {
		return nil, fmt.Errorf("want host:port or a URL: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("the scheme is %q: want http or https", u.Scheme)
	}
	if u.Hostname() == "" {
		return nil, fmt.Errorf("there is no host: want host:port or a URL")
	}
	if u.Port() == "" && u.Scheme == "http" {
		u.Host = net.JoinHostPort(u.Hostname(), "5050")
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = apiPath
	}
	return u, nil
}

// masterList is a fixed list of masters, tried one after the other.
type masterList struct {
	urls []*url.URL
	turn int
}

func (l *masterList) next(context.Context) (*url.URL, error) { return l.urls[l.turn], nil }
func (l *masterList) failed()                                { l.turn = (l.turn + 1) % len(l.urls) }

// replaced never knows: the end of the stream tells.
func (l *masterList) replaced(ctx context.Context, _ ...string) string {
	<-ctx.Done()
	return ""
}

func (l *masterList) follow(context.Context, *slog.Logger) {}

// electedMasters are masters that elect their leader in ZooKeeper.
type electedMasters struct {
	ensemble detector.Ensemble
	scheme   string

	mu      sync.Mutex
	leader  *url.URL      // the last one known; nil before the first
	changed chan struct{} // closed and made anew at every change
}

// next waits for the first leader. After that it is the last one known, even
// when ZooKeeper is out of reach: the masters may be well.
func (m *electedMasters) next(ctx context.Context) (*url.URL, error) {
	return m.wait(ctx, func(*url.URL) bool { return true })
}

// replaced is quicker than the stream where the old leader is cut off from the
// other masters and does not know it yet: nothing more comes of it.
func (m *electedMasters) replaced(ctx context.Context, hosts ...string) string {
	leader, err := m.wait(ctx, func(leader *url.URL) bool { return !slices.Contains(hosts, leader.Host) })
	if err != nil {
		return ""
	}
	return leader.Host
}

// wait returns the leader as soon as there is one that will do.
func (m *electedMasters) wait(ctx context.Context, will func(*url.URL) bool) (*url.URL, error) {
	for {
		m.mu.Lock()
		leader, changed := m.leader, m.changed
		m.mu.Unlock()
		if leader != nil && will(leader) {
			return leader, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// failed has nothing to turn to: the next leader is the masters' choice.
func (m *electedMasters) failed() {}

func (m *electedMasters) follow(ctx context.Context, log *slog.Logger) {
	m.ensemble.Follow(ctx, func(l detector.Leader, err error) {
		if err != nil {
			log.Info("no leading master", slog.String("error", err.Error()))
			return
		}
		host := cmp.Or(l.IP, l.Hostname)
		if m.scheme == "https" {
			host = cmp.Or(l.Hostname, l.IP) // certificates are for names
		}
		u := &url.URL{Scheme: m.scheme, Host: net.JoinHostPort(host, strconv.Itoa(l.Port)), Path: apiPath}
		log.Info("leading master", slog.String("address", u.Host))
		m.mu.Lock()
		defer m.mu.Unlock()
		m.leader = u
		close(m.changed)
		m.changed = make(chan struct{})
	})
}
