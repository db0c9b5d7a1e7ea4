package scheduler

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	apiPath      = "/api/v1/scheduler"
	mediaType    = "application/x-protobuf"
	streamHeader = "Mesos-Stream-Id"

	dialTimeout  = 10 * time.Second
	maxRedirects = 5
	maxErrorBody = 4 << 10
)

// transport speaks HTTP with masters.
type transport struct {
	client     *http.Client
	tls        *tls.Config
	credential Credential
	authorize  func(*http.Request) error
}

func newTransport(c Config) *transport {
	return &transport{
		client: &http.Client{
			Transport: &http.Transport{
				Proxy:                 http.ProxyFromEnvironment,
				DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
				TLSClientConfig:       c.TLS,
				TLSHandshakeTimeout:   10 * time.Second,
				ResponseHeaderTimeout: 15 * time.Second,
				MaxIdleConnsPerHost:   ackLanes,
				IdleConnTimeout:       90 * time.Second,
				DisableCompression:    true,
			},
			// A redirect has to keep the stream id, and is remembered.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		tls:        c.TLS,
		credential: c.Credential,
		authorize:  c.Authorize,
	}
}

// answer is a master's reply with success.
type answer struct {
	url      *url.URL // that gave it, after redirects
	streamID string
	body     io.ReadCloser
}

// post sends a call to the master at u, or to the leader that this one names,
// and returns the reply with status 200 or 202. Any other is a *statusError.
func (t *transport) post(ctx context.Context, u *url.URL, streamID string, call outgoing) (*answer, error) {
	body, err := call.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", call.Type, err)
	}
	return t.postBody(ctx, u, streamID, call.Type.String(), body)
}

// postBody sends a call that goes by a name.
func (t *transport) postBody(ctx context.Context, u *url.URL, streamID, name string, body []byte) (*answer, error) {
	for range maxRedirects {
		resp, err := t.postOnce(ctx, u, streamID, body)
		if err != nil {
			return nil, fmt.Errorf("%s to %s: %w", name, u, err)
		}
		if resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusAccepted {
			return &answer{url: u, streamID: resp.Header.Get(streamHeader), body: resp.Body}, nil
		}
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody)) // the status says enough where this fails
		if err := resp.Body.Close(); err != nil {
			return nil, fmt.Errorf("%s to %s: %w", name, u, err)
		}
		next := redirect(u, resp)
		if next == nil {
			return nil, &statusError{call: name, url: u, code: resp.StatusCode, text: strings.TrimSpace(string(text))}
		}
		u = next
	}
	return nil, fmt.Errorf("%s: more than %d redirects, the last to %s", name, maxRedirects, u)
}

func (t *transport) postOnce(ctx context.Context, u *url.URL, streamID string, body []byte) (*http.Response, error) {
	req, err := t.request(ctx, u, streamID, body)
	if err != nil {
		return nil, err
	}
	return t.client.Do(req)
}

func (t *transport) request(ctx context.Context, u *url.URL, streamID string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", mediaType)
	req.Header.Set("Accept", mediaType)
	if streamID != "" {
		req.Header.Set(streamHeader, streamID)
	}
	if t.credential.Principal != "" {
		req.SetBasicAuth(t.credential.Principal, t.credential.Secret)
	}
	if t.authorize != nil {
		if err := t.authorize(req); err != nil {
			return nil, fmt.Errorf("authorize: %w", err)
		}
	}
	return req, nil
}

// redirect is where a reply points to; nil: nowhere. Mesos sends a
// protocol-relative Location ("//host:port/path").
func redirect(from *url.URL, resp *http.Response) *url.URL {
	switch resp.StatusCode {
	case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return nil
	}
	location := resp.Header.Get("Location")
	if location == "" {
		return nil
	}
	to, err := from.Parse(location)
	if err != nil || to.Host == "" {
		return nil
	}
	if to.Path == "" || to.Path == "/" {
		to.Path = from.Path
	}
	return to
}

// statusError is a reply of a master that is not a success.
type statusError struct {
	call string
	url  *url.URL
	code int
	text string
}

func (e *statusError) Error() string {
	text := fmt.Sprintf("%s to %s: %d %s", e.call, e.url, e.code, http.StatusText(e.code))
	if e.text != "" {
		text += ": " + e.text
	}
	switch e.code {
	case http.StatusUnauthorized:
		text += " (the master asks for a credential that it knows: see Config.Credential)"
	case http.StatusForbidden:
		text += " (the principal may not do this: see the master's ACLs)"
	case http.StatusNotFound:
		text += " (is this the address of a Mesos master?)"
	}
	return text
}

// final says whether the same call would fail again: all of 4xx but those that
// ask for patience.
func (e *statusError) final() bool {
	switch e.code {
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return false
	}
	return e.code >= 400 && e.code < 500
}

// unsent says whether an error means that the master has not acted on the
// call: it was never reached, or it refused.
func unsent(err error) bool {
	var status *statusError
	if errors.As(err, &status) {
		return status.code != http.StatusInternalServerError && status.code != http.StatusBadGateway &&
			status.code != http.StatusGatewayTimeout
	}
	var dial *net.OpError
	return errors.As(err, &dial) && dial.Op == "dial"
}
