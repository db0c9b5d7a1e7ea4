package scheduler_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosmaster "github.com/mesos/mesos-go/api/v1/lib/master"
	"github.com/mesos/mesos-go/api/v1/lib/quota"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/offers"
	"github.com/mesokit/mesokit/scheduler"
)

func TestReadQuota(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t, 1)
	read := func() map[string]scheduler.Quota {
		got, err := scheduler.ReadQuota(t.Context(), scheduler.Config{Master: cluster.Master()})
		require.NoError(t, err)
		return got
	}
	assert.Empty(t, read())
	reply, err := http.Post(cluster.URL()+"/api/v1", "application/json", bytes.NewBufferString(
		`{"type":"UPDATE_QUOTA","update_quota":{"quota_configs":[{"role":"a","limits":{"cpus":{"value":1.5},"mem":{"value":0}}}]}}`))
	require.NoError(t, err)
	text, err := io.ReadAll(reply.Body)
	require.NoError(t, err)
	require.NoError(t, reply.Body.Close())
	require.Equal(t, http.StatusOK, reply.StatusCode, string(text))
	assert.Equal(t, map[string]scheduler.Quota{"a": {
		Guarantees: map[string]offers.Amount{}, Limits: map[string]offers.Amount{"cpus": 1500, "mem": 0},
	}}, read())
}

// TestReadQuotaOfAnOldMaster has what a master before 1.9 says: guarantees as
// resources.
func TestReadQuotaOfAnOldMaster(t *testing.T) {
	t.Parallel()
	role := "a"
	answer := mesosmaster.Response{Type: mesosmaster.Response_GET_QUOTA, GetQuota: &mesosmaster.Response_GetQuota{
		Status: quota.QuotaStatus{Infos: []quota.QuotaInfo{{Role: &role, Guarantee: []mesos.Resource{scalar("cpus", 2), scalar("mem", 64)}}}},
	}}
	text, err := answer.Marshal()
	require.NoError(t, err)
	old := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(text) // fails when the client has gone
	}))
	t.Cleanup(old.Close)
	got, err := scheduler.ReadQuota(t.Context(), scheduler.Config{Master: old.URL})
	require.NoError(t, err)
	assert.Equal(t, map[string]scheduler.Quota{"a": {Guarantees: map[string]offers.Amount{"cpus": 2000, "mem": 64000}}}, got)
}

func TestReadQuotaFails(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "/api/v1", r.URL.Path)
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(closed.Close)
	for _, c := range []struct {
		name   string
		config scheduler.Config
		is     error
		want   string
	}{
		{"no master", scheduler.Config{}, nil, "Config.Master is empty"},
		{"not allowed", scheduler.Config{Master: closed.URL}, scheduler.ErrRefused, "ACL"},
		{"no answer", scheduler.Config{Master: "127.0.0.1:1"}, nil, "GET_QUOTA"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := scheduler.ReadQuota(t.Context(), c.config)
			require.ErrorContains(t, err, c.want)
			if c.is != nil {
				require.ErrorIs(t, err, c.is)
			}
		})
	}
}
