package kafka

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/frameworks"
)

// TestSettingsAreTheCluster: what is written as options comes back as it was.
func TestSettingsAreTheCluster(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]Cluster{
		"smallest": {Distribution: Distribution{Classpath: "/opt/kafka"}},
		"full": {
			Name: "events", Role: "r", Principal: "p", User: "u", Binary: frameworks.Binary{Path: "/opt/mesos-kafka"},
			Brokers: 5, CPUs: 0.5, Mem: 4096, Heap: 1024, Disk: 100, Place: constraints.MustParse("hostname:UNIQUE", "rack:GROUP_BY:3"), RackAttribute: "rack",
			ClientPort: frameworks.Port{Begin: 9092, End: 9099}, ControllerPort: frameworks.Port{Begin: 9100, End: 9100},
			Options: map[string]string{"log.retention.hours": "24"}, PluginOptions: map[string]string{"acme.url": "x"},
			Distribution: Distribution{Java: "/opt/java", Classpath: "/a.jar:/b.jar", Flags: []string{"-ea"}},
			Grace:        time.Minute, Backoff: frameworks.Backoff{First: time.Second, Max: time.Hour},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := json.Marshal(c.settings())
			require.NoError(t, err)
			var s settings
			require.NoError(t, json.Unmarshal(text, &s))
			again := c.with(s)
			assert.Equal(t, c.withDefaults(), again.withDefaults(), "%s", text)
			assert.Equal(t, c.Heap, again.Heap, "a heap that follows mem goes on following it")
			made, err := c.Service().Revise(text)
			require.NoError(t, err)
			assert.Equal(t, c.Service().Options, made.Options)
		})
	}
}

func TestReviseRefuses(t *testing.T) {
	t.Parallel()
	c := Cluster{Distribution: Distribution{Classpath: "/opt/kafka"}, Binary: frameworks.Binary{Path: "/opt/mesos-kafka"}}
	_, err := c.Service().Revise(json.RawMessage(`{"memory": 3}`))
	require.ErrorContains(t, err, "memory: there is no such option")
	_, err = c.Service().Revise(json.RawMessage(`{"grace": "soon"}`))
	require.ErrorContains(t, err, `grace: time: invalid duration "soon"`)
	s, err := c.Service().Revise(json.RawMessage(`{"kafka": "/opt/kafka", "mem": 512, "heap": 1024}`))
	require.NoError(t, err)
	require.ErrorContains(t, s.Validate(), "Cluster.Heap: 1024: wants at most 384 MiB")
	require.NoError(t, c.Service().Validate())
}
