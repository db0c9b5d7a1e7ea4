package detector

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/mesokit/mesokit/internal/zkconn"
)

const (
	defaultPort    = "2181"
	sessionTimeout = 10 * time.Second

	// retry is how long to wait after an answer that no watch tells of.
	retry = time.Second

	nodePrefix = "json.info_"
	oldPrefix  = "info_"
)

// Ensemble is where masters elect their leader.
type Ensemble struct {
	Servers        []string // host:port
	Path           string   // such as /mesos
	User, Password string   // for digest authentication; empty: none
}

// Leader is how a master can be reached.
type Leader struct {
	ID       string // of this run of the master: another after a restart
	Hostname string
	IP       string
	Port     int
}

// Parse reads zk://[user:password@]host[:port],…/path.
func Parse(url string) (Ensemble, error) {
	var e Ensemble
	rest, ok := strings.CutPrefix(url, "zk://")
	if !ok {
		return e, errors.New("want zk://[user:password@]host:port,…/path")
	}
	hosts, chroot, _ := strings.Cut(rest, "/")
	if at := strings.LastIndex(hosts, "@"); at >= 0 {
		e.User, e.Password, ok = strings.Cut(hosts[:at], ":")
		if !ok || e.User == "" {
			return e, errors.New("what stands before the @ must be user:password")
		}
		hosts = hosts[at+1:]
	}
	e.Path = path.Clean("/" + chroot)
	if e.Path == "/" {
		return e, errors.New("the path is missing: want one, such as zk://host:2181/mesos")
	}
	for server := range strings.SplitSeq(hosts, ",") {
		if server == "" {
			return e, errors.New("a host is empty: want host:port,host:port")
		}
		host, port, err := net.SplitHostPort(server)
		if err != nil {
			host, port = strings.Trim(server, "[]"), defaultPort
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" {
			return e, fmt.Errorf("%q is no host:port", server)
		}
		e.Servers = append(e.Servers, net.JoinHostPort(host, port))
	}
	return e, nil
}

// String is the URL of the ensemble without the password.
func (e Ensemble) String() string {
	return "zk://" + strings.Join(e.Servers, ",") + e.Path
}

// Follow calls found for the leader and for each one that follows it, and with
// an error when there is none or ZooKeeper cannot say. The same outcome is not
// told twice in a row. Follow goes on through lost connections and expired
// sessions, until ctx ends.
func (e Ensemble) Follow(ctx context.Context, found func(Leader, error)) {
	var r reach
	conn, _, err := zk.Connect(e.Servers, sessionTimeout,
		zk.WithLogger(silent{}), zk.WithLogInfo(false), zk.WithHostProvider(&zkconn.Hosts{}), zk.WithDialer(r.dial))
	if err != nil { // there are no servers, and never will be
		found(Leader{}, fmt.Errorf("connect to %s: %w", e, err))
		<-ctx.Done()
		return
	}
	// Closing is what ends a request that waits for a server.
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		<-ctx.Done()
		conn.Close()
	}()
	defer func() { <-ended }()
	said, authenticated := "", e.User == ""
	for ctx.Err() == nil {
		var leader Leader
		var changed <-chan zk.Event
		var err error
		if !authenticated {
			// The client repeats it at every new connection, once it has
			// succeeded.
			err = conn.AddAuth("digest", []byte(e.User+":"+e.Password))
			authenticated = err == nil
		}
		if authenticated {
			leader, changed, err = e.look(conn)
		} else {
			err = fmt.Errorf("authenticate with %s: %w", e, err)
		}
		if ctx.Err() != nil {
			break
		}
		if errors.Is(err, errAgain) {
			continue
		}
		err = r.explain(err)
		if outcome := fmt.Sprint(leader, err); outcome != said {
			found(leader, err)
			said = outcome
		}
		wait(ctx, changed)
	}
}

// reach remembers why servers are out of reach.
type reach struct {
	mu   sync.Mutex
	last error // of the last dial
}

func (r *reach) dial(network, address string, timeout time.Duration) (net.Conn, error) {
	conn, err := net.DialTimeout(network, address, timeout)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = err
	if err != nil {
		return nil, err
	}
	return zkconn.Greet(conn, sessionTimeout, nil), nil
}

// explain adds to an error for which no server was reached what the last one
// failed with.
func (r *reach) explain(err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if errors.Is(err, zk.ErrNoServer) && r.last != nil {
		return fmt.Errorf("%w: %w", err, r.last)
	}
	return err
}

// wait returns when there may be news. Without a watch that is after a while.
func wait(ctx context.Context, changed <-chan zk.Event) {
	var after <-chan time.Time
	if changed == nil {
		timer := time.NewTimer(retry)
		defer timer.Stop()
		after = timer.C
	}
	select {
	case <-changed:
	case <-after:
	case <-ctx.Done():
	}
}

// errAgain says that the leader has gone between two reads.
var errAgain = errors.New("look again")

// look reads who leads now, and watches for a change where that is possible.
func (e Ensemble) look(conn *zk.Conn) (Leader, <-chan zk.Event, error) {
	children, _, changed, err := conn.ChildrenW(e.Path)
	switch {
	case errors.Is(err, zk.ErrNoNode):
		return Leader{}, nil, fmt.Errorf("%s does not exist: no master was ever started with this path", e)
	case errors.Is(err, zk.ErrNoAuth):
		return Leader{}, nil, fmt.Errorf("%s may not be read: give the user and password that the masters use: %w", e, err)
	case err != nil:
		return Leader{}, nil, fmt.Errorf("read %s: %w", e, err)
	}
	node, err := leading(children)
	if err != nil {
		return Leader{}, changed, fmt.Errorf("%s: %w", e, err)
	}
	data, _, err := conn.Get(path.Join(e.Path, node))
	switch {
	case errors.Is(err, zk.ErrNoNode):
		return Leader{}, nil, errAgain
	case err != nil:
		return Leader{}, nil, fmt.Errorf("read %s/%s: %w", e, node, err)
	}
	leader, err := decode(data)
	if err != nil {
		return Leader{}, changed, fmt.Errorf("%s/%s: %w", e, node, err)
	}
	return leader, changed, nil
}

// leading picks the node with the lowest sequence number.
func leading(children []string) (string, error) {
	var nodes, old []string
	for _, child := range children {
		switch {
		case strings.HasPrefix(child, nodePrefix):
			nodes = append(nodes, child)
		case strings.HasPrefix(child, oldPrefix):
			old = append(old, child)
		}
	}
	if len(nodes) == 0 && len(old) > 0 {
		slices.Sort(old)
		return "", fmt.Errorf("there are only nodes like %s, which masters before Mesos 0.24 write: upgrade them", old[0])
	}
	if len(nodes) == 0 {
		return "", errors.New("no master is there at the moment")
	}
	return slices.MinFunc(nodes, func(a, b string) int {
		return cmp.Or(cmp.Compare(sequence(a), sequence(b)), cmp.Compare(a, b))
	}), nil
}

// sequence is the number of a node. ZooKeeper's counter is a signed 32-bit
// number and wraps, which takes two thousand million elections.
func sequence(node string) int64 {
	n, err := strconv.ParseInt(strings.TrimPrefix(node, nodePrefix), 10, 64)
	if err != nil {
		return 1 << 62 // not a master's: last
	}
	return n
}

// decode reads a MasterInfo. Mesos has written the address since 0.26.
func decode(data []byte) (Leader, error) {
	var info struct {
		ID       string `json:"id"`
		Hostname string `json:"hostname"`
		Port     int    `json:"port"`
		PID      string `json:"pid"`
		Address  struct {
			Hostname string `json:"hostname"`
			IP       string `json:"ip"`
			Port     int    `json:"port"`
		} `json:"address"`
	}
	if err := json.Unmarshal(data, &info); err != nil {
		return Leader{}, fmt.Errorf("decode MasterInfo: %w", err)
	}
	leader := Leader{
		ID:       info.ID,
		Hostname: cmp.Or(info.Address.Hostname, info.Hostname),
		IP:       info.Address.IP,
		Port:     cmp.Or(info.Address.Port, info.Port),
	}
	if _, address, ok := strings.Cut(info.PID, "@"); ok && leader.IP == "" {
		if host, _, err := net.SplitHostPort(address); err == nil {
			leader.IP = host
		}
	}
	if leader.Port == 0 || leader.Hostname == "" && leader.IP == "" {
		return Leader{}, fmt.Errorf("MasterInfo %.200q has no address", data)
	}
	return leader, nil
}

// silent drops what the client library logs: what matters comes back as an
// error.
type silent struct{}

func (silent) Printf(string, ...any) {}
