package cassandra

import (
	_ "embed"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/mesokit/mesokit/internal/edit"
)

// optionsFile holds every key of the cassandra.yaml of Cassandra 5.0.9. It was
// written by TestOptionsAreThoseOfCassandra -update, which otherwise holds it to
// the real one.
//
//go:embed options.txt
var optionsFile string

// known are the options that Cassandra has, in order.
var known = strings.Fields(optionsFile)

// owned are the options that the framework sets, and what sets them instead.
var owned = map[string]string{
	"cluster_name":                     "it is Cluster.Name",
	"partitioner":                      "it cannot be changed on data",
	"endpoint_snitch":                  "racks are those of Cluster.RackAttribute",
	"seed_provider":                    "the framework chooses the seeds",
	"num_tokens":                       "use Cluster.Tokens",
	"initial_token":                    "nodes choose their tokens when they join",
	"auto_bootstrap":                   "a node that joins has to take over its data",
	"listen_address":                   "it is that of the node's agent",
	"listen_interface":                 "it is that of the node's agent",
	"listen_on_broadcast_address":      "it is that of the node's agent",
	"broadcast_address":                "it is that of the node's agent",
	"broadcast_rpc_address":            "it is that of the node's agent",
	"rpc_address":                      "it is that of the node's agent",
	"rpc_interface":                    "it is that of the node's agent",
	"storage_port":                     "use Cluster.StoragePort",
	"ssl_storage_port":                 "use Cluster.StoragePort: since Cassandra 4 one port does for both",
	"native_transport_port":            "use Cluster.CQLPort",
	"start_native_transport":           "a node without clients is of no use",
	"native_transport_port_ssl":        "use Cluster.CQLPort: since Cassandra 4 one port does for both",
	"data_file_directories":            "the data is on the node's volume; use Cluster.Disk",
	"local_system_data_file_directory": "the data is on the node's volume; use Cluster.Disk",
	"commitlog_directory":              "the data is on the node's volume; use Cluster.Disk",
	"cdc_raw_directory":                "the data is on the node's volume; use Cluster.Disk",
	"hints_directory":                  "the data is on the node's volume; use Cluster.Disk",
	"saved_caches_directory":           "the data is on the node's volume; use Cluster.Disk",
}

var optionKey = regexp.MustCompile(`^[a-z0-9_]+$`)

// checkOption refuses what would be no line of a cassandra.yaml, and what
// Cassandra would not start with: a key that it does not know.
func checkOption(key, value string) error {
	if !optionKey.MatchString(key) {
		return fmt.Errorf("%q: wants a key of cassandra.yaml, such as concurrent_reads", key)
	}
	if instead, ok := owned[key]; ok {
		return fmt.Errorf("%s: is set by the framework: %s", key, instead)
	}
	if !slices.Contains(known, key) {
		near := ""
		if best, edits := nearest(key); edits <= len(key)/3 {
			near = fmt.Sprintf("; did you mean %s?", best)
		}
		return fmt.Errorf("%s: Cassandra has no such option%s", key, near)
	}
	var parsed map[string]any
	if err := yaml.Unmarshal([]byte(line(key, value)), &parsed); err != nil || len(parsed) != 1 || strings.ContainsAny(value, "\r\n") {
		return fmt.Errorf("%s: %q: wants a value in YAML, on one line", key, value)
	}
	return nil
}

// line is an option as it stands in cassandra.yaml.
func line(key, value string) string { return key + ": " + value + "\n" }

// nearest is the known key that takes the fewest edits to reach, and how many.
func nearest(key string) (best string, edits int) {
	edits = math.MaxInt
	for _, candidate := range known {
		if d := edit.Distance(key, candidate); d < edits && owned[candidate] == "" {
			best, edits = candidate, d
		}
	}
	return best, edits
}
