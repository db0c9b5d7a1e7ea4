package dist

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
)

//go:embed zookeeper.xml
var zookeeperPOM []byte

// zookeeper starts in a third of a second without a class archive.
var zookeeper = recipe{pom: zookeeperPOM, java: 17}

// ZooKeeper returns the Apache ZooKeeper that zookeeper.xml describes, as
// [Kafka] does. Its main class is
// org.apache.zookeeper.server.quorum.QuorumPeerMain.
func ZooKeeper(ctx context.Context, progress func(line string)) (Distribution, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return Distribution{}, fmt.Errorf("find a place to keep zookeeper: %w", err)
	}
	return zookeeper.obtain(ctx, filepath.Join(cache, "mesokit"), progress)
}
