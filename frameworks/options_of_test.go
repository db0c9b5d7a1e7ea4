package frameworks

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/offers"
)

type typed struct {
	Nodes   int               `json:"nodes" help:"how many servers"`
	Version string            `json:"version"`
	Mem     offers.Amount     `json:"mem"`
	Backup  backup            `json:"backup"`
	Extra   map[string]string `json:"extra,omitempty"`
}

type backup struct {
	Every *int     `json:"every,omitempty"`
	To    []string `json:"to"`
	Debug bool     `json:"debug"`
}

func typedDatabase(given typed) *Service {
	return OptionsOf[typed]{
		Given:    given,
		Defaults: typed{Nodes: 2, Version: "1", Mem: 512_000, Backup: backup{To: []string{"here"}}},
		Make: func(o typed) (*Service, error) {
			if o.Version == "" {
				return nil, fmt.Errorf("version: %q: wants a number", o.Version)
			}
			s := versionedService(o.Nodes)
			version(o.Version)(&s.Pods[0])
			return s, nil
		},
		Check: func(_ Deployment, from, to typed) error {
			if to.Version < from.Version {
				return errors.New("version: " + to.Version + ": there is no way back from " + from.Version)
			}
			return nil
		},
	}.Service()
}

func TestTypedOptions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, typedDatabase(typed{Nodes: 2, Version: "2"}), 4, agentResources)
	w.until(time.Minute, "ready", w.allReady(2))
	for given, refusal := range map[string]string{
		`{"nodes":"two"}`:                  "nodes: string: wants a whole number",
		`{"backup":{"to":"x"}}`:            "backup.to: string: wants a list of text",
		`{"node":3}`:                       "node: there is no such option; there are nodes, version, mem, backup.every, backup.to, backup.debug, extra",
		`{"version":""}`:                   `version: "": wants a number`,
		`{"version":"1"}`:                  "version: 1: there is no way back from 2",
		`{"version":"3","mem":true}`:       `mem: amount: "true" is not a number`,
		`{"version":"3"} {"version":"4"}`:  "after top-level value",
		`{"version":"3","nodes":-1}`:       "Count",
		`{"version":"3","backup":{"a":1}}`: "a: there is no such option",
	} {
		_, err := w.command(Update{Options: json.RawMessage(given)})
		require.ErrorIs(t, err, ErrRefused, given)
		assert.ErrorContains(t, err, refusal, given)
	}
	w.do(Update{Options: json.RawMessage(`{"version":"3","backup":{"debug":true}}`)})
	w.until(10*time.Minute, "updated", w.updated(2))

	answer, err := w.send(AskOptions{})
	require.NoError(t, err)
	var table []string
	for _, o := range answer.(OptionsReport).Schema {
		table = append(table, fmt.Sprintf("%s|%s|%s|%s|%s", o.Name, o.Type, o.Default, o.Value, o.Help))
	}
	assert.Equal(t, []string{
		`nodes|a whole number|2|2|how many servers`, `version|text|"1"|"3"|`, `mem|amount|512|0|`,
		`backup.every|a whole number|||`, `backup.to|a list of text|["here"]|null|`,
		`backup.debug|true or false|false|true|`, `extra|names with text|||`,
	}, table)
}

func TestTypedOptionsThatCannotBe(t *testing.T) {
	t.Parallel()
	assert.ErrorContains(t, typedDatabase(typed{}).Validate(), `options: version: "": wants a number`)
	w := newWorld(t, versionedService(1), 1, agentResources)
	_, err := w.send(AskOptions{})
	require.ErrorIs(t, err, ErrUnknown)
}
