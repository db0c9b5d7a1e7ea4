package dist

import (
	"context"
	_ "embed"
	"fmt"
	"net"
	"os"
	"path/filepath"
)

//go:embed kafka.xml
var kafkaPOM []byte

var kafka = recipe{from: pom{text: kafkaPOM}, java: 17, warm: warmKafka}

// Kafka returns the Apache Kafka that kafka.xml describes, from the user's cache
// or, the first time, from Maven Central. It then calls progress, which may be
// nil, with a line of text about once a second, never from two goroutines.
//
// The error names what is missing on this machine and the package that has it.
func Kafka(ctx context.Context, progress func(line string)) (Distribution, error) {
	return kafka.inUserCache(ctx, progress)
}

// warmKafka prepares a single node that is its own quorum. With static voters a
// node is formatted by one small file, so no StorageTool is run first.
func warmKafka(dir string) (warmUp, error) {
	client, controller, err := twoPorts()
	if err != nil {
		return warmUp{}, err
	}
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o755); err != nil {
		return warmUp{}, err
	}
	properties := filepath.Join(dir, "server.properties")
	log4j := filepath.Join(dir, "log4j2.properties")
	for path, text := range map[string]string{
		filepath.Join(data, "meta.properties"): "version=1\ncluster.id=bWVzb2tpdC13YXJtLXVwIQ\nnode.id=1\n",
		properties: fmt.Sprintf(`process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:%[2]d
listeners=CLIENT://127.0.0.1:%[1]d,CONTROLLER://127.0.0.1:%[2]d
listener.security.protocol.map=CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=CLIENT
controller.listener.names=CONTROLLER
log.dirs=%[3]s
log.cleaner.dedupe.buffer.size=1048577
`, client, controller, data),
		log4j: `rootLogger.level=INFO
rootLogger.appenderRef.out.ref=OUT
appender.out.type=Console
appender.out.name=OUT
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%p %m%n
`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return warmUp{}, err
		}
	}
	return warmUp{
		args:  []string{"-Dlog4j2.configurationFile=" + log4j, "kafka.Kafka", properties},
		ready: "Kafka Server started",
	}, nil
}

// twoPorts returns two ports of the loopback address that were free just now.
// Should another program take one in the meantime, only the class archive is lost.
func twoPorts() (int, int, error) {
	var ports [2]int
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, 0, err
		}
		defer l.Close()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports[0], ports[1], nil
}
