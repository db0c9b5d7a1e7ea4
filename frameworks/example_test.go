package frameworks_test

import (
	"fmt"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/offers"
)

// A service is a declaration. Given to scheduler.Run as the handler, it is
// brought about and kept so.
func Example() {
	hello := &frameworks.Service{Name: "hello", Pods: []frameworks.Pod{{
		Name: "web", Count: 3, Command: "python3 -m http.server --bind $HOST $PORT_HTTP",
		Needs: offers.MustParse("cpus:0.1;mem:32"),
		Ports: []frameworks.Port{{Name: "http"}},
		Place: constraints.MustParse("hostname:UNIQUE"),
		Ready: frameworks.HTTP("http", "/"),
	}}}
	fmt.Println(hello.Validate())

	hello.Pods[0].Count = -1
	hello.Pods[0].Volumes = []frameworks.Volume{{Name: "data", Path: "/data", Size: 100_000}}
	fmt.Println(hello.Validate())
	// Output:
	// <nil>
	// 2 errors occurred:
	// 	* Service.Pods[0].Count: -1: wants 0 to 1000
	// 	* Service.Pods[0].Volumes[0].Path: "/data": wants a path inside the sandbox, such as "data"
}
