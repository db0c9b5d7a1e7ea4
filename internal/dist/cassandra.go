package dist

import (
	"context"
	_ "embed"
)

//go:embed cassandra.xml
var cassandraPOM []byte

var cassandra = recipe{from: pom{text: cassandraPOM}, java: 17}

// Cassandra returns the Apache Cassandra that cassandra.xml describes, as
// [Kafka] does. Its main class is org.apache.cassandra.service.CassandraDaemon;
// the Jolokia agent is the jar whose name begins with jolokia-agent-jvm.
func Cassandra(ctx context.Context, progress func(line string)) (Distribution, error) {
	return cassandra.inUserCache(ctx, progress)
}
