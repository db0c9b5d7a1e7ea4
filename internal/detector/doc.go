// Package detector finds the leading Mesos master through ZooKeeper.
//
// Masters that elect their leader there each keep a sequential, ephemeral node
// under one path, the "/mesos" of zk://host:2181/mesos:
//
//	/mesos/json.info_0000000017    leads, because its number is the lowest
//	/mesos/json.info_0000000018
//	/mesos/log_replicas
//
// The value of a json.info_ node is a MasterInfo as JSON. Mesos before 0.24
// wrote protobuf into info_ nodes, which this package names and does not read.
//
// [Parse] reads such a URL and [Ensemble.Follow] tells of each new leader.
package detector
