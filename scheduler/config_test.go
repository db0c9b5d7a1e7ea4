package scheduler_test

import (
	"crypto/tls"
	"crypto/x509"
	"math"
	"net/http"
	"net/http/httptest"
	"os/user"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/scheduler"
)

func TestRunRefusesAWrongConfiguration(t *testing.T) {
	t.Parallel()
	seconds, never, text := -1.0, math.NaN(), "a"
	for _, c := range []struct {
		name string
		edit func(*scheduler.Config)
		want string
	}{
		{"no master", func(c *scheduler.Config) { c.Master = "" }, "Config.Master is empty: give host:port"},
		{"master without host", func(c *scheduler.Config) { c.Master = "http://" }, "there is no host"},
		{"master of another scheme", func(c *scheduler.Config) { c.Master = "ftp://a" }, `the scheme is "ftp": want http or https`},
		{"one of several masters", func(c *scheduler.Config) { c.Master = "a:5050,:5050" }, `Config.Master has ":5050"`},
		{"master with a password", func(c *scheduler.Config) { c.Master = "http://me:hunter2@a" }, "Config.Credential"},
		{"zk without path", func(c *scheduler.Config) { c.Master = "zk://me:hunter2@a:2181" }, "the path is missing"},
		{"no handler", func(c *scheduler.Config) { c.Handler = nil }, "Config.Handler is nil"},
		{"negative frame", func(c *scheduler.Config) { c.MaxFrame = -1 }, "Config.MaxFrame is -1"},
		{"secret alone", func(c *scheduler.Config) { c.Credential.Secret = "s" }, "Config.Credential.Principal is empty"},
		{"no name", func(c *scheduler.Config) { c.Framework.Name = "" }, "Config.Framework.Name is empty"},
		{"failover timeout", func(c *scheduler.Config) { c.Framework.FailoverTimeout = &seconds }, "FailoverTimeout is -1"},
		{"failover timeout that is no number", func(c *scheduler.Config) { c.Framework.FailoverTimeout = &never }, "FailoverTimeout is NaN"},
		{"journal of no size", func(c *scheduler.Config) { c.Journal = &scheduler.Journal{Size: -1} }, "Config.Journal.Size is -1"},
		{"framework id", func(c *scheduler.Config) { c.Framework.ID = &mesos.FrameworkID{Value: "x"} }, `Config.Framework.ID is "x"`},
		{"role", func(c *scheduler.Config) { c.Framework.Role = &text }, `Config.Framework.Role is "a"`},
		{"role twice", func(c *scheduler.Config) { c.Framework.Roles = []string{"a", "a"} }, `Roles has "a" twice`},
		{"role with a space", func(c *scheduler.Config) { c.Framework.Roles = []string{"a b"} }, `Roles has "a b"`},
		{"role with a dash", func(c *scheduler.Config) { c.Framework.Roles = []string{"x/-a"} }, "start with a dash"},
		{"role of dots", func(c *scheduler.Config) { c.Framework.Roles = []string{".."} }, `"." or ".."`},
		{"empty part", func(c *scheduler.Config) { c.Framework.Roles = []string{"a//b"} }, "must not be empty"},
		{"star inside", func(c *scheduler.Config) { c.Framework.Roles = []string{"a/*"} }, "by itself"},
		{"two principals", func(c *scheduler.Config) { c.Framework.Principal, c.Credential.Principal = &text, "b" }, "the master wants them to be the same"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			config := scheduler.Config{
				Master: "localhost:1", Handler: scheduler.HandlerFunc(launchOne),
				Framework: mesos.FrameworkInfo{Name: "test"},
			}
			c.edit(&config)
			err := scheduler.Run(t.Context(), config)
			require.ErrorContains(t, err, c.want)
			assert.NotContains(t, err.Error(), "hunter2")
		})
	}
}

// described is a handler that knows how it registers.
type described struct{ scheduler.HandlerFunc }

func (described) Framework() mesos.FrameworkInfo {
	name := "from-the-handler"
	return mesos.FrameworkInfo{Name: name, User: name, Roles: []string{name}}
}

func TestRunRegistersWithDefaults(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	start(t, scheduler.Config{
		Master: m.address(), Handler: described{launchOne},
		Framework:  mesos.FrameworkInfo{Name: "from-the-config"},
		Credential: scheduler.Credential{Principal: "me", Secret: "secret"},
	})
	got := m.stream().call.Subscribe.FrameworkInfo
	assert.Equal(t, "from-the-config", got.Name)
	assert.Equal(t, "from-the-handler", got.User)
	assert.Equal(t, []string{"from-the-handler"}, got.Roles)
	assert.Equal(t, "me", got.GetPrincipal())
	assert.InDelta(t, 14*24*3600, got.GetFailoverTimeout(), 0)
	assert.True(t, got.GetCheckpoint())
	assert.NotEmpty(t, got.GetHostname())
	var capabilities []string
	for _, c := range got.Capabilities {
		capabilities = append(capabilities, c.Type.String())
	}
	assert.Equal(t, []string{"MULTI_ROLE", "PARTITION_AWARE", "RESERVATION_REFINEMENT", "TASK_KILLING_STATE"}, capabilities)

	start(t, scheduler.Config{Master: m.address(), Handler: scheduler.HandlerFunc(launchOne)})
	got = m.stream().call.Subscribe.FrameworkInfo
	u, err := user.Current()
	require.NoError(t, err)
	assert.Equal(t, u.Username, got.User)
	assert.Equal(t, []string{"*"}, got.Roles)
}

func TestRunAuthenticates(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	m.replies(func(r *http.Request, _ *sched.Call) (int, string, string) {
		principal, secret, ok := r.BasicAuth()
		if !ok || principal != "me" || secret != "secret" || r.Header.Get("X-Token") != "t" {
			return http.StatusUnauthorized, "", ""
		}
		return 0, "", ""
	})
	start(t, scheduler.Config{
		Master: m.address(), Handler: scheduler.HandlerFunc(launchOne),
		Credential: scheduler.Credential{Principal: "me", Secret: "secret"},
		Authorize: func(r *http.Request) error {
			r.Header.Set("X-Token", "t")
			return nil
		},
	})
	m.subscribed().send(offersEvent(offer("o1", "a1")))
	m.call(sched.Call_ACCEPT)
}

func TestRunSpeaksTLS(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	secure := httptest.NewTLSServer(m)
	t.Cleanup(secure.Close)
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	r := start(t, scheduler.Config{
		Master: secure.URL, Handler: scheduler.HandlerFunc(launchOne),
		TLS: &tls.Config{RootCAs: roots, ServerName: "example.com"},
	})
	m.subscribed().send(offersEvent(offer("o1", "a1")))
	m.call(sched.Call_ACCEPT)
	r.cancel()
	require.NoError(t, r.end())
}
