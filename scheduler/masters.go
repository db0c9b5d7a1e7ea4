package scheduler

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// masters knows where a leader may be found.
type masters interface {
	// next is where to try; it may wait until a leader is known.
	next(ctx context.Context) (*url.URL, error)
	// failed says that the last one to be tried is not of use now.
	failed()
}

// parseMasters reads Config.Master.
func parseMasters(s string) (masters, error) {
	if s == "" {
		return nil, fmt.Errorf("Config.Master is empty: give host:port, a URL, several of them with commas, or zk://host:port,…/path")
	}
	if strings.HasPrefix(s, "zk://") {
		return nil, fmt.Errorf("Config.Master is %q: masters on ZooKeeper are not supported yet", s)
	}
	var list masterList
	for _, part := range strings.Split(s, ",") {
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
	if u.User != nil {
		return nil, fmt.Errorf("a credential belongs into Config.Credential")
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
