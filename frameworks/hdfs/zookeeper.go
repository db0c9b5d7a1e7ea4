package hdfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/mesokit/mesokit/executor"
)

// Where the failover controllers elect the active name node, and where the
// framework keeps which data nodes leave.
const (
	electionRoot = "/hadoop-ha"
	lockNode     = "ActiveStandbyElectorLock"
	crumbNode    = "ActiveBreadCrumb"
	ownRoot      = "/mesokit/hdfs"
)

// silent has the ZooKeeper client log nothing: what fails is in errors.
type silent struct{}

func (silent) Printf(string, ...any) {}

// zookeeper calls a function with a connection, which ends with it.
func zookeeper(ctx context.Context, servers string, do func(*zk.Conn) error) error {
	conn, events, err := zk.Connect(strings.Split(servers, ","), 10*time.Second, zk.WithLogger(silent{}))
	if err != nil {
		return fmt.Errorf("ZooKeeper %s: %w", servers, err)
	}
	defer conn.Close()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("ZooKeeper %s does not answer: %w", servers, context.Cause(ctx))
		case e := <-events:
			if e.State != zk.StateHasSession {
				continue
			}
		}
		defer context.AfterFunc(ctx, conn.Close)()
		return do(conn)
	}
}

// ensure makes a node and those above it, where they are not there.
func ensure(conn *zk.Conn, node string) error {
	for i := range node {
		if i > 0 && node[i] == '/' {
			if err := create(conn, node[:i]); err != nil {
				return err
			}
		}
	}
	return create(conn, node)
}

func create(conn *zk.Conn, node string) error {
	_, err := conn.Create(node, nil, 0, zk.WorldACL(zk.PermAll))
	if err != nil && !errors.Is(err, zk.ErrNodeExists) {
		return fmt.Errorf("create %s in ZooKeeper: %w", node, err)
	}
	return nil
}

// holder is a name node as the election names it.
type holder struct{ name, host, port string }

// readHolder reads a node of the election; the zero holder: there is none.
func readHolder(conn *zk.Conn, service, node string) (holder, error) {
	data, _, err := conn.Get(path.Join(electionRoot, service, node))
	if errors.Is(err, zk.ErrNoNode) {
		return holder{}, nil
	}
	if err != nil {
		return holder{}, err
	}
	m, err := fields(data) // ActiveNodeInfo
	return holder{name: m.text(2), host: m.text(3), port: fmt.Sprint(m.number(4))}, err
}

// prepareElection asks ZooKeeper for what a name node wants at its start: the list of
// the data nodes that leave, and the place of the election.
func prepareElection(ctx context.Context, s executor.Sandbox) error {
	l, err := readLayout(s)
	if err != nil {
		return err
	}
	return until(ctx, func(ctx context.Context) error {
		return zookeeper(ctx, l.ZooKeeper, func(conn *zk.Conn) error {
			list, err := readExclude(conn, l.Service)
			if err == nil {
				err = os.WriteFile(filepath.Join(s.Dir, excludeFile), []byte(list), 0o644)
			}
			return errors.Join(err, l.placeElection(conn))
		})
	})
}

// placeElection makes the place of the election, unless it is there. A crumb of
// a former active name node is removed where its place is nobody's any more: the
// controllers would look for it there for ever. What it could still write, no
// journal node takes.
func (l layout) placeElection(conn *zk.Conn) error {
	if err := ensure(conn, path.Join(electionRoot, l.Service)); err != nil {
		return err
	}
	crumb, err := readHolder(conn, l.Service, crumbNode)
	if err != nil || crumb.name == "" {
		return err
	}
	for _, p := range l.Names {
		if p.Name == crumb.name && sameAddress(p.RPC, crumb) {
			return nil
		}
	}
	err = conn.Delete(path.Join(electionRoot, l.Service, crumbNode), -1)
	if errors.Is(err, zk.ErrNoNode) {
		return nil
	}
	return err
}

// sameAddress compares ports only where a host may be named in more ways than one.
func sameAddress(address string, h holder) bool {
	host, port, _ := cutLast(address, ":")
	return port == h.port && (host == h.host || !digits(h.host))
}

func digits(host string) bool {
	return !strings.ContainsFunc(host, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
}

func excludeNode(service string) string { return path.Join(ownRoot, service, excludeFile) }

// readExclude is the list of the data nodes that leave, a line each.
func readExclude(conn *zk.Conn, service string) (string, error) {
	data, _, err := conn.Get(excludeNode(service))
	if errors.Is(err, zk.ErrNoNode) {
		return "", nil
	}
	return string(data), err
}

func writeExclude(conn *zk.Conn, service, list string) error {
	if err := ensure(conn, excludeNode(service)); err != nil {
		return err
	}
	_, err := conn.Set(excludeNode(service), []byte(list), -1)
	return err
}

// lines joins addresses as the list has them.
func lines(addresses []string) string {
	var out strings.Builder
	for _, a := range slices.Sorted(slices.Values(addresses)) {
		out.WriteString(a + "\n")
	}
	return out.String()
}
