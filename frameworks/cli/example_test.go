package cli_test

import (
	"fmt"

	"github.com/spf13/pflag"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/cli"
	"github.com/mesokit/mesokit/offers"
)

// web declares web servers by flags.
type web struct {
	servers int
	port    frameworks.Port
}

func (w *web) AddFlags(f *pflag.FlagSet) {
	f.IntVar(&w.servers, "servers", 3, "how many")
	cli.PortVar(f, &w.port, "port", "where they listen")
}

func (w *web) Service(c cli.Common) *frameworks.Service {
	port := w.port
	port.Name = "http"
	return &frameworks.Service{
		Name: c.Name, Role: c.Role, Principal: c.Principal, User: c.User, Binary: c.Binary,
		Pods: []frameworks.Pod{{
			Name: "server", Count: w.servers, Command: "exec python3 -m http.server $PORT_HTTP",
			Needs: offers.MustParse("cpus:0.1;mem:32"), Ports: []frameworks.Port{port},
			Place: c.Place, Backoff: c.Backoff, Grace: c.Grace,
		}},
	}
}

// A framework declares its flags and its pods. What is wrong with a command
// line is said all at once, by the names of flags.
func ExampleApp() {
	app := cli.App{
		Name:        "mesos-web",
		Short:       "Run web servers on Apache Mesos",
		Declaration: new(web),
		Pods:        []cli.Pod{{Name: "server", Port: "http"}},
	}
	c := app.Command()
	c.SetArgs([]string{"scheduler", "--role", "*", "--port", "8000-8099", "--state", "/var/lib/mesos-web"})
	err := c.Execute()
	fmt.Println(err)
	fmt.Println("exit status", cli.ExitStatus(err))
	// Output:
	// --master: is not set: wants "host:port" or "zk://host:port/mesos"
	// --role: "*": wants a role of its own, which reservations can be made for, such as "kafka"
	// exit status 2
}
