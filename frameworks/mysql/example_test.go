package mysql_test

import (
	"fmt"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/frameworks/mysql"
)

// A set is a declaration; its Service is what frameworks.Run takes.
func Example() {
	orders := mysql.Cluster{
		Name: "orders", CPUs: 4, Mem: 8192, Buffer: 6144, Disk: 200_000,
		Place:        constraints.MustParse("hostname:UNIQUE", "rack:GROUP_BY:3"),
		AdminHash:    mysql.Hash("a long password"),
		Options:      map[string]string{"max_connections": "500"},
		Distribution: mysql.Distribution{Dir: "/opt/mysql"},
	}
	fmt.Println(orders.Validate())
	fmt.Println(orders.Service().Pods[0].Needs)

	orders.Members = 2
	orders.Options["read_only"] = "OFF"
	fmt.Println(orders.Validate())
	// Output:
	// <nil>
	// cpus:4;mem:8192
	// Cluster.Members: 2: wants 3 or more: with fewer, no write could be acknowledged while one is down
	// Cluster.Options: read_only: is set by the framework: only a promotion makes a member writable
}
