package executor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/mesokit/mesokit/internal/recordio"
)

// agent speaks the v1 executor HTTP API with the agent on this machine: calls
// are POSTed, and the answer to SUBSCRIBE is a stream of events. See
// https://mesos.apache.org/documentation/latest/executor-http-api/.
type agent struct {
	url    string
	token  string
	json   bool // rather than protobuf
	client *http.Client
}

const (
	apiPath      = "/api/v1/executor"
	typeProtobuf = "application/x-protobuf"
	typeJSON     = "application/json"

	// callTimeout bounds a call that is answered at once, and the wait for the
	// head of the answer to SUBSCRIBE. The agent is on the same machine.
	callTimeout = 10 * time.Second
	// maxEvent bounds one event, in bytes. A LAUNCH carries the files of a task.
	maxEvent = 64 << 20
)

func newAgent(env environment, json bool) *agent {
	a := &agent{url: "http://" + env.endpoint + apiPath, token: env.token, json: json}
	dialer := &net.Dialer{Timeout: callTimeout}
	transport := &http.Transport{DialContext: dialer.DialContext, ResponseHeaderTimeout: callTimeout}
	switch {
	case env.socket != "": // never TLS there
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", env.socket)
		}
	case env.tls != nil:
		a.url = "https://" + env.endpoint + apiPath
		transport.TLSClientConfig = env.tls
	}
	a.client = &http.Client{Transport: transport}
	return a
}

// contentType is how calls and events are written.
func (a *agent) contentType() string {
	if a.json {
		return typeJSON
	}
	return typeProtobuf
}

func (a *agent) encode(call *executor.Call) ([]byte, error) {
	if a.json {
		return json.Marshal(call)
	}
	return call.Marshal()
}

func (a *agent) decode(record []byte) (*executor.Event, error) {
	event := new(executor.Event)
	if a.json {
		return event, json.Unmarshal(record, event)
	}
	return event, event.Unmarshal(record)
}

// subscribe opens a subscription and passes its events on until it ends, which
// is always with an error.
func (a *agent) subscribe(ctx context.Context, call *executor.Call, events func(*executor.Event)) error {
	resp, err := a.post(ctx, call)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refusal(call, resp)
	}
	records := recordio.NewReader(resp.Body, maxEvent)
	for {
		record, err := records.Next()
		if errors.Is(err, io.EOF) {
			return errors.New("the agent ended the subscription")
		}
		if err != nil {
			return fmt.Errorf("read event: %w", err)
		}
		event, err := a.decode(record)
		if err != nil {
			return fmt.Errorf("decode event of %d bytes: %w", len(record), err)
		}
		events(event)
	}
}

// send makes a call other than SUBSCRIBE.
func (a *agent) send(ctx context.Context, call *executor.Call) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	resp, err := a.post(ctx, call)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		return refusal(call, resp)
	}
	return nil
}

func (a *agent) post(ctx context.Context, call *executor.Call) (*http.Response, error) {
	body, err := a.encode(call)
	if err != nil {
		return nil, fmt.Errorf("encode %v: %w", call.Type, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", a.contentType())
	req.Header.Set("Accept", a.contentType())
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", call.Type, err)
	}
	return resp, nil
}

// refusal is the error of an answer that is not the one that was hoped for.
func refusal(call *executor.Call, resp *http.Response) error {
	why, err := io.ReadAll(io.LimitReader(resp.Body, 512))
	if err != nil {
		return fmt.Errorf("%v: %s", call.Type, resp.Status)
	}
	return fmt.Errorf("%v: %s: %s", call.Type, resp.Status, bytes.TrimSpace(why))
}
