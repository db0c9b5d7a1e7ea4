package kafka

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/mesokit/mesokit/internal/dist/disttest"
)

// TestSingleBroker takes one real broker through its life: formatted once,
// asked by the gate, and asked for its options.
func TestSingleBroker(t *testing.T) {
	s := newSingle(t, disttest.Kafka(t))
	n := s.deployment.Nodes[0]

	_, err := s.format(t)
	require.NoError(t, err)
	meta, err := os.ReadFile(filepath.Join(s.dir, logDir, "meta.properties"))
	require.NoError(t, err)
	assert.Contains(t, string(meta), "cluster.id="+s.deployment.ID("cluster")+"\n")
	assert.Contains(t, string(meta), "node.id=0\n")
	assert.Contains(t, string(meta), "directory.id="+s.deployment.ID("directory/broker-0")+"\n")

	before := s.files(t)
	reported, err := s.format(t)
	require.NoError(t, err)
	assert.Equal(t, "already formatted", reported)
	assert.Equal(t, before, s.files(t), "the second format changed something")

	require.ErrorContains(t, unfenced(t.Context(), s.deployment, n), "connection refused")
	s.start(t)
	t.Logf("the gate waited for: %s", strings.Join(s.awaitReady(t), "; "))

	stranger := n
	stranger.Index = 7
	require.ErrorContains(t, unfenced(t.Context(), s.deployment, stranger), "broker 7 is not registered")

	checkOptions(t, s.address())
}

// checkOptions holds options.txt to what a real broker answers.
func checkOptions(t *testing.T, address string) {
	client, err := kgo.NewClient(kgo.SeedBrokers(address))
	require.NoError(t, err)
	defer client.Close()
	request := kmsg.NewPtrDescribeConfigsRequest()
	resource := kmsg.NewDescribeConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeBroker, "0"
	request.Resources = append(request.Resources, resource)
	answer, err := request.RequestWith(t.Context(), client)
	require.NoError(t, err)
	types := map[string]string{}
	for _, c := range answer.Resources[0].Configs {
		types[c.Name] = c.ConfigType.String()
	}
	require.Greater(t, len(types), 300)
	version, err := kadm.NewClient(client).ApiVersions(t.Context())
	require.NoError(t, err)
	t.Logf("the broker guesses it is %s", version.Sorted()[0].VersionGuess())
	var text strings.Builder
	text.WriteString(optionsHead)
	for _, key := range slices.Sorted(maps.Keys(types)) {
		text.WriteString(fmt.Sprintf("%s %s\n", key, types[key]))
	}
	if *update {
		require.NoError(t, os.WriteFile("options.txt", []byte(text.String()), 0o644))
	}
	stored, err := os.ReadFile("options.txt")
	require.NoError(t, err)
	assert.Equal(t, text.String(), string(stored), "options.txt is not what the broker knows; -update rewrites it")
}

const optionsHead = `# The options of a Kafka 4.3.1 broker with their types, as it answers DescribeConfigs.
# Written by: go test ./frameworks/kafka -run TestSingleBroker -update
`
