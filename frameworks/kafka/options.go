package kafka

import (
	_ "embed"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/mesokit/mesokit/internal/edit"
)

// optionsFile holds every key that a broker of Kafka 4.3.1 answers when it is
// asked for its configuration (DescribeConfigs), with its type. It was written
// by TestOptionsAreThoseOfKafka -update, which otherwise holds it to a real
// broker.
//
//go:embed options.txt
var optionsFile string

// known are the options that Kafka has, by key.
var known = parseOptions(optionsFile)

// beside are options that Kafka's own classes read and its configuration does
// not declare: those of the StandardAuthorizer, and those for any client or
// broker that AbstractConfig and JmxReporter look at.
var beside = map[string]string{
	"allow.everyone.if.no.acl.found": "BOOLEAN",
	"super.users":                    "STRING",
	"metrics.jmx.include":            "STRING",
	"metrics.jmx.exclude":            "STRING",
}

// families are prefixes of options whose rest a user chooses: settings of one
// listener (KIP-103), of a configuration provider (KIP-297), and of the
// plugins of tiered storage (KIP-405).
var families = []string{"listener.name.", "config.providers.", "rsm.config.", "rlmm.config."}

// owned are the options that the framework sets, and what sets them instead.
var owned = map[string]string{
	"process.roles":                       "the framework makes the first brokers controllers",
	"node.id":                             "it is the index of the broker",
	"broker.id":                           "it is the index of the broker",
	"broker.rack":                         "use Cluster.RackAttribute",
	"listeners":                           "use Cluster.ClientPort and Cluster.ControllerPort",
	"advertised.listeners":                "the address is that of the broker's agent; use Cluster.ClientPort",
	"listener.security.protocol.map":      "the framework names the listeners",
	"inter.broker.listener.name":          "the framework names the listeners",
	"security.inter.broker.protocol":      "the framework names the listeners",
	"controller.listener.names":           "the framework names the listeners",
	"controller.quorum.bootstrap.servers": "the framework knows where the controllers are",
	"controller.quorum.voters":            "the framework knows where the controllers are",
	"controller.quorum.auto.join.enable":  "a controller that lost its disk has to join again",
	"log.dir":                             "the data is on the broker's volume; use Cluster.Disk",
	"log.dirs":                            "the data is on the broker's volume; use Cluster.Disk",
	"metadata.log.dir":                    "the data is on the broker's volume; use Cluster.Disk",
}

func parseOptions(text string) map[string]string {
	options := map[string]string{}
	for line := range strings.Lines(text) {
		if key, kind, ok := strings.Cut(strings.TrimSpace(line), " "); ok && key != "#" {
			options[key] = kind
		}
	}
	maps.Copy(options, beside)
	return options
}

// checkOption refuses what would be lost, ignored or rejected by the broker:
// Kafka itself ignores a key that it does not know.
func checkOption(key, value string) error {
	if err := checkLine(key, value); err != nil {
		return err
	}
	if err := checkOwned(key); err != nil {
		return err
	}
	for _, prefix := range families {
		if strings.HasPrefix(key, prefix) && len(key) > len(prefix) {
			return nil
		}
	}
	kind, ok := known[key]
	if !ok {
		near := ""
		if best, edits := nearest(key); edits <= len(key)/3 {
			near = fmt.Sprintf("did you mean %s? ", best)
		}
		return fmt.Errorf("%s: Kafka has no such option; %swhat only a plugin knows goes into PluginOptions", key, near)
	}
	if err := checkType(kind, value); err != nil {
		return fmt.Errorf("%s: %q: %w", key, value, err)
	}
	return nil
}

// checkOwned refuses what the framework sets itself.
func checkOwned(key string) error {
	if instead, ok := owned[key]; ok {
		return fmt.Errorf("%s: is set by the framework: %s", key, instead)
	}
	return nil
}

// checkLine refuses what would not be one line of a properties file.
func checkLine(key, value string) error {
	if key == "" || strings.ContainsAny(key, " \t\r\n\f=:#!\\") {
		return fmt.Errorf("%q: wants a key without blanks, '=', ':', '#', '!' and backslashes", key)
	}
	if strings.ContainsAny(value, "\r\n") {
		return fmt.Errorf("%s: %q: wants one line", key, value)
	}
	return nil
}

// checkType reads a value as Kafka's ConfigDef does: blanks around it do not
// count.
func checkType(kind, value string) error {
	value = strings.TrimSpace(value)
	if strings.Contains(value, "${") { // a configuration provider will say
		return nil
	}
	bits := map[string]int{"SHORT": 16, "INT": 32, "LONG": 64}
	switch kind {
	case "BOOLEAN":
		if !strings.EqualFold(value, "true") && !strings.EqualFold(value, "false") {
			return fmt.Errorf("wants true or false")
		}
	case "SHORT", "INT", "LONG":
		if _, err := strconv.ParseInt(value, 10, bits[kind]); err != nil {
			return fmt.Errorf("wants a whole number of %d bits", bits[kind])
		}
	case "DOUBLE":
		if _, err := strconv.ParseFloat(value, 64); err != nil {
			return fmt.Errorf("wants a number")
		}
	}
	return nil
}

// nearest is the known key that takes the fewest edits to reach, and how many.
func nearest(key string) (best string, edits int) {
	edits = math.MaxInt
	for _, candidate := range slices.Sorted(maps.Keys(known)) {
		if d := edit.Distance(key, candidate); d < edits && owned[candidate] == "" {
			best, edits = candidate, d
		}
	}
	return best, edits
}
