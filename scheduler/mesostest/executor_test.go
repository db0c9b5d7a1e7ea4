package mesostest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/mesokit/mesokit/internal/recordio"
)

// probeLog is the file in its sandbox where the probe executor writes what it
// sees and sends.
const probeLog = "probe.log"

// probeEnvironment makes the test binary the probe executor. The race detector
// would sleep for a second at its end, most of what the agent leaves it.
const probeEnvironment = "MESOSTEST_PROBE_EXECUTOR=1 GORACE=atexit_sleep_ms=0"

// probeExecutor is the executor that the recordings were made with, in Go: it
// runs nothing, answers "ping", and dies of "die".
type probeExecutor struct {
	log           *json.Encoder
	framework, id object
	tasks         map[string]bool
}

func runProbeExecutor() error {
	log, err := os.OpenFile(probeLog, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	x := &probeExecutor{
		log: json.NewEncoder(log), tasks: map[string]bool{},
		framework: object{"value": os.Getenv("MESOS_FRAMEWORK_ID")}, id: object{"value": os.Getenv("MESOS_EXECUTOR_ID")},
	}
	env := object{}
	for _, kv := range os.Environ() {
		k, v, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(k, "MESOS_") || strings.HasPrefix(k, "LIBPROCESS_") {
			env[k] = v
		}
	}
	if err := x.log.Encode(object{"env": env}); err != nil {
		return err
	}
	for { // an agent that is restarted is subscribed to again
		resp, err := x.post(object{"type": "SUBSCRIBE", "subscribe": object{}})
		if err != nil {
			<-time.After(50 * time.Millisecond) // nothing here says when the agent is back
			continue
		}
		if done, err := x.listen(recordio.NewReader(resp.Body, 0)); done || err != nil {
			return err
		}
		_ = resp.Body.Close()
	}
}

// listen handles events until the stream ends or the executor must.
func (x *probeExecutor) listen(r *recordio.Reader) (done bool, err error) {
	for {
		b, err := r.Next()
		if err != nil {
			return false, nil // subscribe again
		}
		var e any
		if err := json.Unmarshal(b, &e); err != nil {
			return true, err
		}
		if err := x.log.Encode(object{"event": e}); err != nil {
			return true, err
		}
		if done, err := x.handle(e); done || err != nil {
			return true, err
		}
	}
}

func (x *probeExecutor) post(call object) (*http.Response, error) {
	call["framework_id"], call["executor_id"] = x.framework, x.id
	if call["type"] != "SUBSCRIBE" {
		if err := x.log.Encode(object{"send": call}); err != nil {
			return nil, err
		}
	}
	b, err := json.Marshal(call)
	if err != nil {
		return nil, err
	}
	return http.Post("http://"+os.Getenv("MESOS_AGENT_ENDPOINT")+"/api/v1/executor", typeJSON, bytes.NewReader(b))
}

func (x *probeExecutor) send(call object) error {
	resp, err := x.post(call)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func (x *probeExecutor) update(task, state string) error {
	return x.send(object{"type": "UPDATE", "update": object{"status": object{
		"task_id": object{"value": task}, "state": state, "source": "SOURCE_EXECUTOR", "executor_id": x.id,
		"uuid":      base64.StdEncoding.EncodeToString([]byte(randomUUID())[:16]),
		"timestamp": float64(time.Now().UnixMilli()) / 1000,
	}}})
}

func (x *probeExecutor) handle(e any) (done bool, err error) {
	switch text(e, "type") {
	case "LAUNCH":
		task := text(e, "launch", "task", "task_id", "value")
		x.tasks[task] = true
		return false, errors.Join(x.update(task, "TASK_STARTING"), x.update(task, "TASK_RUNNING"))
	case "KILL":
		task := text(e, "kill", "task_id", "value")
		delete(x.tasks, task)
		return false, x.update(task, "TASK_KILLED")
	case "MESSAGE":
		switch data, _ := base64.StdEncoding.DecodeString(text(e, "message", "data")); string(data) {
		case "ping":
			return false, x.send(object{"type": "MESSAGE", "message": object{"data": base64.StdEncoding.EncodeToString([]byte("pong"))}})
		case "die":
			os.Exit(9)
		}
	case "SHUTDOWN":
		for task := range x.tasks {
			if err := x.update(task, "TASK_KILLED"); err != nil {
				return true, err
			}
		}
		// The recorded executor, in Python, took its time to end, so that what
		// its tasks had was offered before what it had itself.
		<-time.After(1200 * time.Millisecond)
		return true, nil
	}
	return false, nil
}
