package main

import (
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/cassandra"
	"github.com/mesokit/mesokit/frameworks/hdfs"
	"github.com/mesokit/mesokit/frameworks/kafka"
	"github.com/mesokit/mesokit/frameworks/mysql"
)

// servers say where agents find them.
type servers struct {
	Kafka     kafka.Distribution
	Cassandra cassandra.Distribution
	HDFS      hdfs.Distribution
	MySQL     mysql.Distribution
	ZooKeeper string // of HDFS: "host:port"
	AdminHash string // of MySQL's administrator; see mysql.Hash
}

// services are as small as they can be, to be tried on one machine. Each has a
// role of its own, which is its name.
func (s servers) services() []*frameworks.Service {
	return []*frameworks.Service{
		kafka.Cluster{
			Brokers: 3, CPUs: 0.2, Mem: 448, Heap: 128, Disk: 512, Distribution: s.Kafka,
		}.Service(),
		cassandra.Cluster{
			Nodes: 3, CPUs: 0.3, Mem: 512, Heap: 192, Disk: 512, Tokens: 4, Distribution: s.Cassandra,
		}.Service(),
		hdfs.Cluster{
			Journal:   hdfs.Nodes{CPUs: 0.1, Mem: 192, Heap: 48, Disk: 256},
			Namenode:  hdfs.Nodes{CPUs: 0.2, Mem: 512, Heap: 96, Disk: 256},
			Data:      hdfs.Nodes{CPUs: 0.1, Mem: 256, Heap: 64, Disk: 512},
			ZooKeeper: s.ZooKeeper, Distribution: s.HDFS,
		}.Service(),
		mysql.Cluster{
			CPUs: 0.2, Mem: 448, Buffer: 48, Disk: 768, AdminHash: s.AdminHash, Distribution: s.MySQL,
			Options: map[string]string{"innodb_redo_log_capacity": "32M"},
		}.Service(),
	}
}
