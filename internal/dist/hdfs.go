package dist

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
)

//go:embed hdfs.xml
var hdfsPOM []byte

var hdfs = recipe{from: pom{text: hdfsPOM}, java: 17, warm: warmHDFS}

// HDFS returns the Apache HDFS that hdfs.xml describes, as [Kafka] does.
func HDFS(ctx context.Context, progress func(line string)) (Distribution, error) {
	return hdfs.inUserCache(ctx, progress)
}

// warmHDFS prepares a journal node, which needs nobody else and loads most of what
// all daemons do: RPC, HTTP, metrics, configuration.
func warmHDFS(dir string) (warmUp, error) {
	rpc, http, err := twoPorts()
	if err != nil {
		return warmUp{}, err
	}
	log4j := filepath.Join(dir, "log4j.properties")
	err = os.WriteFile(log4j, []byte(`log4j.rootLogger=INFO,c
log4j.appender.c=org.apache.log4j.ConsoleAppender
log4j.appender.c.layout=org.apache.log4j.PatternLayout
log4j.appender.c.layout.ConversionPattern=%p %m%n
`), 0o644)
	return warmUp{
		args: []string{
			"-Dlog4j.configuration=file:" + log4j, "org.apache.hadoop.hdfs.qjournal.server.JournalNode",
			"-D", "dfs.journalnode.edits.dir=" + filepath.Join(dir, "edits"),
			"-D", fmt.Sprintf("dfs.journalnode.rpc-address=127.0.0.1:%d", rpc),
			"-D", fmt.Sprintf("dfs.journalnode.http-address=127.0.0.1:%d", http),
		},
		ready: "IPC Server listener on",
	}, err
}
