package dist

import (
	"context"
	_ "embed"
)

//go:embed zookeeper.xml
var zookeeperPOM []byte

// zookeeper starts in a third of a second without a class archive.
var zookeeper = recipe{from: pom{text: zookeeperPOM}, java: 17}

// ZooKeeper returns the Apache ZooKeeper that zookeeper.xml describes, as
// [Kafka] does. Its main class is
// org.apache.zookeeper.server.quorum.QuorumPeerMain.
func ZooKeeper(ctx context.Context, progress func(line string)) (Distribution, error) {
	return zookeeper.inUserCache(ctx, progress)
}
