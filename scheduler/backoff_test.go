package scheduler

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// roundTripper answers requests without a network, as a synctest bubble wants.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestOpenBacksOff(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		reply func(*http.Request) (*http.Response, error)
	}{
		{"nobody there", func(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") }},
		{"no leader", func(*http.Request) (*http.Response, error) { return response(http.StatusServiceUnavailable, ""), nil }},
		{"round in a circle", func(r *http.Request) (*http.Response, error) {
			return response(http.StatusTemporaryRedirect, "//"+r.URL.Host+r.URL.Path), nil
		}},
		{"a redirect to nowhere", func(*http.Request) (*http.Response, error) {
			return response(http.StatusTemporaryRedirect, ""), nil
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				masters, err := parseMasters("a:1,b:2", "http")
				require.NoError(t, err)
				var tries []time.Time
				hosts := map[string]bool{}
				client := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
					if len(tries) == 0 || time.Since(tries[len(tries)-1]) > 0 {
						tries = append(tries, time.Now())
					}
					hosts[r.URL.Host] = true
					if len(tries) == 40 {
						return response(http.StatusUnauthorized, ""), nil
					}
					return c.reply(r)
				}), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
				s := &session{
					transport: &transport{client: client}, masters: masters,
					log: slog.New(slog.DiscardHandler), monitor: &Monitor{}, subscribe: outgoing{Call: &sched.Call{Type: sched.Call_SUBSCRIBE}},
					leads: func(context.Context) error { return nil },
				}
				_, err = s.open(t.Context())
				require.ErrorIs(t, err, ErrRefused)
				assert.Len(t, hosts, 2, "all masters are tried")
				for i := 1; i < len(tries); i++ {
					gap := tries[i].Sub(tries[i-1])
					assert.GreaterOrEqual(t, gap, firstBackoff/2)
					assert.LessOrEqual(t, gap, maxBackoff)
				}
				assert.GreaterOrEqual(t, tries[39].Sub(tries[38]), maxBackoff/2)
			})
		})
	}
}

func response(code int, location string) *http.Response {
	return &http.Response{
		StatusCode: code, Header: http.Header{"Location": []string{location}},
		Body: io.NopCloser(strings.NewReader("")),
	}
}
