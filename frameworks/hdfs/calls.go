package hdfs

import (
	"context"

	"github.com/go-zookeeper/zk"

	"github.com/mesokit/mesokit/frameworks"
)

// calls are what the scheduler asks by other means than HTTP. Simulations have
// others.
type calls interface {
	// history is what the journal nodes but the layout's own hold, and journal
	// what one of them does.
	history(ctx context.Context, l layout) history
	journal(ctx context.Context, p peer, service string) (journal, error)
	// ghosts are data nodes that a name node calls dead, and on whose blocks it still
	// counts.
	ghosts(ctx context.Context, name frameworks.Node) ([]string, error)
	// readExclude and writeExclude are for the list of the data nodes that leave.
	readExclude(ctx context.Context, servers, service string) (string, error)
	writeExclude(ctx context.Context, servers, service, list string) error
}

// network asks journal nodes by RPC, and ZooKeeper.
type network struct{}

func (network) history(ctx context.Context, l layout) history { return l.readHistory(ctx) }

func (network) journal(ctx context.Context, p peer, service string) (journal, error) {
	return readJournal(ctx, p, service)
}

func (network) ghosts(ctx context.Context, name frameworks.Node) ([]string, error) {
	who, err := askUser(ctx, name.Address(httpPort))
	if err != nil {
		return nil, err
	}
	return ghosts(ctx, name.Address(rpcPort), who)
}

func (network) readExclude(ctx context.Context, servers, service string) (list string, err error) {
	err = zookeeper(ctx, servers, func(conn *zk.Conn) (err error) {
		list, err = readExclude(conn, service)
		return err
	})
	return list, err
}

func (network) writeExclude(ctx context.Context, servers, service, list string) error {
	return zookeeper(ctx, servers, func(conn *zk.Conn) error { return writeExclude(conn, service, list) })
}
