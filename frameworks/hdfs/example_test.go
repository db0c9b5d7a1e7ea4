package hdfs_test

import (
	"fmt"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/frameworks/hdfs"
)

// A cluster is a declaration; its Service is what frameworks.Run takes.
func Example() {
	logs := hdfs.Cluster{
		Name:         "logs",
		ZooKeeper:    "zk1:2181,zk2:2181,zk3:2181",
		Namenode:     hdfs.Nodes{Count: 3, CPUs: 4, Mem: 16384, Heap: 12288},
		Data:         hdfs.Nodes{Count: 12, CPUs: 2, Mem: 4096, Disk: 4_000_000},
		Place:        constraints.MustParse("hostname:UNIQUE"),
		Options:      map[string]string{"dfs.blocksize": "268435456"},
		Distribution: hdfs.Distribution{Classpath: "/opt/hadoop"},
	}
	fmt.Println(logs.Validate())
	for _, pod := range logs.Service().Pods {
		fmt.Println(pod.Count, pod.Name, pod.Needs, pod.After)
	}

	logs.Journal.Count = 2
	logs.Options["dfs.hosts.exclude"] = "/etc/exclude"
	fmt.Println(logs.Validate())
	// Output:
	// <nil>
	// 3 journal cpus:0.5;mem:1024 []
	// 12 data cpus:2;mem:4096 [name]
	// 3 name cpus:4;mem:16384 [journal]
	// Cluster.Journal.Count: 2: wants 3, 5, …: a majority has to remain when one is lost
	// Cluster.Options: dfs.hosts.exclude: is set by the framework: data nodes leave by it
}
