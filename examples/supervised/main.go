// Supervised runs a web server on Mesos, shows its log once it is ready, and stops
// it. This one program is the scheduler, the executor and the server.
//
//	go run ./scheduler/mesostest/mesos-local &
//	go build -o supervised ./examples/supervised && ./supervised 127.0.0.1:5050
package main

import (
	"context"
	"log"
	"net/http"
	"os"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/scheduler"
)

// server is how the executor runs this program as a server.
func server(program, address string) executor.Task {
	return executor.Task{
		Command: []string{program, "serve", "$ADDRESS"},
		Env:     map[string]string{"ADDRESS": address},
		Ready:   &executor.Probe{HTTP: "http://$ADDRESS/", Within: time.Minute},
		Stop: executor.Stop{
			Before: []executor.Step{{Name: "drain", Done: "drained", Func: "drain", Timeout: 5 * time.Second}},
			Grace:  10 * time.Second,
		},
	}
}

// drain asks a server to take no more work.
func drain(ctx context.Context, s executor.Sandbox) error {
	return s.Run(ctx, "sh", "-c", "echo $ADDRESS takes no more requests")
}

func main() {
	executor.Main(executor.Config{Steps: map[string]executor.StepFunc{"drain": drain}})
	if len(os.Args) == 3 && os.Args[1] == "serve" {
		http.HandleFunc("/", func(_ http.ResponseWriter, r *http.Request) { log.Print(r.Method, " ", r.URL) })
		log.Fatal(http.ListenAndServe(os.Args[2], nil))
	}
	if len(os.Args) != 2 {
		log.Fatal("usage: supervised <master>")
	}
	program, err := os.Executable()
	if err == nil {
		err = scheduler.Run(context.Background(), config(os.Args[1], program))
	}
	if err != nil {
		log.Fatal(err)
	}
}

func config(master, program string) scheduler.Config {
	return scheduler.Config{Master: master, Framework: mesos.FrameworkInfo{Name: "supervised"}, Handler: policy{program}}
}
