package dist

import (
	"context"
	_ "embed"
)

//go:embed hdfs.xml
var hdfsPOM []byte

var hdfs = recipe{from: pom{text: hdfsPOM}, java: 17}

// HDFS returns the Apache HDFS that hdfs.xml describes, as [Kafka] does. Its
// daemons look on the classpath for a folder webapps/hdfs (webapps/datanode and
// so on), which the jars lack; an empty one will do.
func HDFS(ctx context.Context, progress func(line string)) (Distribution, error) {
	return hdfs.inUserCache(ctx, progress)
}
