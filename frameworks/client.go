package frameworks

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Client asks the API of a service that runs somewhere. Its errors are
// ErrUnknown and ErrRefused where the service said so.
type Client struct {
	URL string // of the API, such as "http://127.0.0.1:7000"
	// Service is which of several; empty where there is only one.
	Service string
	// Token is that of Config.Token.
	Token string
	// HTTP makes the requests; nil: http.DefaultClient.
	HTTP *http.Client
}

// Overview is the services of a scheduler that runs several.
func (c Client) Overview(ctx context.Context) (Overview, error) {
	var overview Overview
	c.Service = ""
	return overview, c.do(ctx, http.MethodGet, "/v1/services", nil, &overview)
}

// Add adds a service to a scheduler that runs several, with options that can
// be encoded as JSON.
func (c Client) Add(ctx context.Context, service string, options any) (Overview, error) {
	var overview Overview
	c.Service = ""
	return overview, c.do(ctx, http.MethodPut, "/v1/services/"+url.PathEscape(service), options, &overview)
}

// Status is the service as it stands.
func (c Client) Status(ctx context.Context) (Status, error) {
	var status Status
	return status, c.do(ctx, http.MethodGet, "/v1/status", nil, &status)
}

// Options are the service's options, with what they can be.
func (c Client) Options(ctx context.Context) (OptionsReport, error) {
	var report OptionsReport
	return report, c.do(ctx, http.MethodGet, "/v1/options", nil, &report)
}

// Start lets a node that was stopped run again.
func (c Client) Start(ctx context.Context, node string) (NodeStatus, error) {
	return c.operate(ctx, node, "start")
}

// Stop ends a node's task, and keeps its place.
func (c Client) Stop(ctx context.Context, node string) (NodeStatus, error) {
	return c.operate(ctx, node, "stop")
}

// Restart ends a node's task, and launches the next in the same place.
func (c Client) Restart(ctx context.Context, node string) (NodeStatus, error) {
	return c.operate(ctx, node, "restart")
}

// Replace gives a node a new place. The data in the old one is destroyed.
func (c Client) Replace(ctx context.Context, node string) (NodeStatus, error) {
	return c.operate(ctx, node, "replace")
}

// ForceReplace is Replace whatever is lost by it.
func (c Client) ForceReplace(ctx context.Context, node string) (NodeStatus, error) {
	return c.operate(ctx, node, "replace?force=true")
}

// Remove lets a node leave: it hands over what it holds, its place is given
// back with all that is on it, and it is forgotten.
func (c Client) Remove(ctx context.Context, node string) (NodeStatus, error) {
	return c.operate(ctx, node, "remove")
}

// Allow lifts what routines hold against a node: a fence, a withheld lease.
func (c Client) Allow(ctx context.Context, node string) (NodeStatus, error) {
	return c.operate(ctx, node, "allow")
}

// ForceRestart is Restart whether the service can spare the node or not.
func (c Client) ForceRestart(ctx context.Context, node string) (NodeStatus, error) {
	return c.operate(ctx, node, "restart?force=true")
}

// ForceRemove is Remove whatever is lost by it.
func (c Client) ForceRemove(ctx context.Context, node string) (NodeStatus, error) {
	return c.operate(ctx, node, "remove?force=true")
}

func (c Client) operate(ctx context.Context, node, wish string) (NodeStatus, error) {
	var status NodeStatus
	return status, c.do(ctx, http.MethodPost, "/v1/nodes/"+url.PathEscape(node)+"/"+wish, nil, &status)
}

// Update changes the options of the service; options are its own JSON.
func (c Client) Update(ctx context.Context, options any) (Status, error) {
	var status Status
	return status, c.do(ctx, http.MethodPut, "/v1/options", options, &status)
}

// UpdateAndShrink is Update that lets volumes become smaller, whatever is in them.
func (c Client) UpdateAndShrink(ctx context.Context, options any) (Status, error) {
	var status Status
	return status, c.do(ctx, http.MethodPut, "/v1/options?shrink=true", options, &status)
}

// Rollback returns to the last options with which every node was ready.
func (c Client) Rollback(ctx context.Context) (Status, error) {
	var status Status
	return status, c.do(ctx, http.MethodPost, "/v1/rollback", nil, &status)
}

// Uninstall ends the service with all that it holds.
func (c Client) Uninstall(ctx context.Context) (Status, error) {
	var status Status
	return status, c.do(ctx, http.MethodPost, "/v1/uninstall", nil, &status)
}

// Scale changes how many nodes a pod has. Of fewer, some leave, as with Remove.
func (c Client) Scale(ctx context.Context, pod string, count int) (Status, error) {
	return c.scale(ctx, pod, map[string]any{"count": count})
}

// ForceScale is Scale whatever is lost by it.
func (c Client) ForceScale(ctx context.Context, pod string, count int) (Status, error) {
	return c.scale(ctx, pod, map[string]any{"count": count, "force": true})
}

func (c Client) scale(ctx context.Context, pod string, body any) (Status, error) {
	var status Status
	return status, c.do(ctx, http.MethodPut, "/v1/pods/"+url.PathEscape(pod), body, &status)
}

func (c Client) do(ctx context.Context, method, path string, body, answer any) error {
	var content bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&content).Encode(body); err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
	}
	if c.Service != "" {
		path = "/v1/services/" + url.PathEscape(c.Service) + strings.TrimPrefix(path, "/v1")
	}
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.URL, "/")+path, &content)
	if err != nil {
		return fmt.Errorf("ask the service: %w", err)
	}
	if c.Token != "" {
		request.Header.Set("Authorization", "Bearer "+c.Token)
	}
	response, err := cmp.Or(c.HTTP, http.DefaultClient).Do(request)
	if err != nil {
		return fmt.Errorf("ask the service: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusBadRequest {
		return refusal(response)
	}
	if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
		return fmt.Errorf("%s %s: the answer: %w", method, path, err)
	}
	return nil
}

// refusal makes an error of what the service answered.
func refusal(response *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	if err != nil {
		return fmt.Errorf("%s: %w", response.Status, err)
	}
	var body struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(text, &body) != nil || body.Error == "" {
		return fmt.Errorf("%s: %q: is this the API of a service?", response.Status, text)
	}
	switch response.StatusCode {
	case http.StatusNotFound:
		return told{body.Error, ErrUnknown}
	case http.StatusConflict:
		return told{body.Error, ErrRefused}
	}
	return errors.New(body.Error)
}

// told is an error in the service's own words.
type told struct {
	text string
	kind error
}

func (t told) Error() string { return t.text }
func (t told) Unwrap() error { return t.kind }
