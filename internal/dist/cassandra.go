package dist

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/mesokit/mesokit/internal/jvm"
)

//go:embed cassandra.xml
var cassandraPOM []byte

var cassandra = recipe{from: pom{text: cassandraPOM}, java: 17, warm: warmCassandra}

// Cassandra returns the Apache Cassandra that cassandra.xml describes, as
// [Kafka] does. Its main class is org.apache.cassandra.service.CassandraDaemon;
// the Jolokia agent is the jar whose name begins with jolokia-agent-jvm.
func Cassandra(ctx context.Context, progress func(line string)) (Distribution, error) {
	return cassandra.inUserCache(ctx, progress)
}

// warmCassandra prepares a node that is a ring by itself.
func warmCassandra(dir string) (warmUp, error) {
	storage, client, err := twoPorts()
	if err != nil {
		return warmUp{}, err
	}
	config, logback := filepath.Join(dir, "cassandra.yaml"), filepath.Join(dir, "logback.xml")
	if err := os.WriteFile(logback, []byte(`<configuration>
  <appender name="OUT" class="ch.qos.logback.core.ConsoleAppender"><encoder><pattern>%level %msg%n</pattern></encoder></appender>
  <root level="INFO"><appender-ref ref="OUT"/></root>
</configuration>
`), 0o644); err != nil {
		return warmUp{}, err
	}
	if err := os.WriteFile(config, fmt.Appendf(nil, `cluster_name: warm-up
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: SimpleSnitch
num_tokens: 1
listen_address: 127.0.0.1
storage_port: %[1]d
rpc_address: 127.0.0.1
native_transport_port: %[2]d
commitlog_sync: batch
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters:
      - seeds: "127.0.0.1:%[1]d"
`, storage, client), 0o644); err != nil {
		return warmUp{}, err
	}
	return warmUp{
		args: append(slices.Clone(jvm.CassandraModules),
			"-Dcassandra.config=file://"+config, "-Dlogback.configurationFile=file://"+logback, "-Dcassandra.storagedir="+dir, "-Dcassandra.logdir="+dir,
			"-Djava.io.tmpdir="+dir, "-Djna.tmpdir="+dir, "-Dcassandra-foreground=yes",
			"-Dcassandra.skip_wait_for_gossip_to_settle=0", "-Dcassandra.shutdown_announce_in_ms=0",
			"org.apache.cassandra.service.CassandraDaemon"),
		ready: "Startup complete",
	}, nil
}
