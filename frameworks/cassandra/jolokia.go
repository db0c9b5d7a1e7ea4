package cassandra

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/mesokit/mesokit/frameworks"
)

const adminUser = "mesokit"

// server is what this framework asks of a node and tells it.
type server interface {
	// look asks how it is, and what it knows of its peers.
	look(ctx context.Context) (view, error)
	// replicas are, for each replicated keyspace, the endpoints that hold each of
	// its ranges, by what the node knows.
	replicas(ctx context.Context) (map[string][][]string, error)
	// hints are what it has yet to deliver to its peers.
	hints(ctx context.Context) (hints, error)
	// decommission has it hand over its ranges and leave the ring. It returns when
	// that has begun.
	decommission(ctx context.Context, force bool) error
	// remove has it take a dead peer out of the ring, by its host id, while the
	// others hand its ranges over among themselves.
	remove(ctx context.Context, hostID string) error
	// assassinate has it forget a dead endpoint that owns nothing.
	assassinate(ctx context.Context, endpoint string) error
	// repair has it bring the replicas of its first ranges of a keyspace together.
	// It returns when that is done.
	repair(ctx context.Context, keyspace string) error
}

// view is a node as it describes itself, and the ring as it sees it. Endpoints
// are "ip:port" of the storage port.
type view struct {
	Mode     string   // NORMAL, JOINING, LEAVING, DECOMMISSIONED, …
	Clients  bool     // the CQL port is open
	HostID   string   // its own
	Schema   string   // the version that it has
	Received int      // about how many keyspaces' data it took over when it joined; 0 or less: none
	Live     []string // and of all that follows, those that it knows of
	Joining  []string
	Leaving  []string
	Moving   []string
	Owners   []string          // of tokens
	HostIDs  map[string]string // by endpoint
	Racks    map[string]string // of the owners that are not alive
}

// self is the node's own endpoint; empty while it has none.
func (v view) self() string {
	for endpoint, id := range v.HostIDs {
		if id == v.HostID {
			return endpoint
		}
	}
	return ""
}

// jolokia is a node's JMX over HTTP.
type jolokia struct {
	address  string
	password string
	broken   error // why it cannot be asked
}

func overHTTP(d frameworks.Deployment, n frameworks.Node) server {
	return &jolokia{address: n.Address(adminPort), password: d.Secret(adminSecret)}
}

const (
	storageService = "org.apache.cassandra.db:type=StorageService"
	// receivedRanges counts the keyspaces in system.available_ranges_v2, which a node
	// fills as it joins: those on disk or else -1, and those in memory.
	receivedRanges = "org.apache.cassandra.metrics:type=Table,keyspace=system,scope=available_ranges_v2,name=EstimatedPartitionCount"
)

// request is one of Jolokia's protocol; several are an array.
type request struct {
	Type      string `json:"type"`
	MBean     string `json:"mbean"`
	Attribute any    `json:"attribute,omitempty"`
	Operation string `json:"operation,omitempty"`
	Arguments []any  `json:"arguments,omitempty"`
}

type response struct {
	Status int             `json:"status"`
	Error  string          `json:"error"`
	Value  json.RawMessage `json:"value"`
}

// maxAnswer bounds what is read of an answer: the ranges of a large ring.
const maxAnswer = 64 << 20

// client keeps no connections: a node is asked now and then, and may be gone the
// next time.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// ask sends requests, and returns their values in order.
func (j *jolokia) ask(ctx context.Context, requests ...request) ([]json.RawMessage, error) {
	if j.broken != nil {
		return nil, j.broken
	}
	body, err := json.Marshal(requests)
	if err != nil {
		return nil, err
	}
	ask, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+j.address+"/jolokia/", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	ask.SetBasicAuth(adminUser, j.password)
	answer, err := client.Do(ask)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask %s: %s", j.address, answer.Status)
	}
	var responses []response
	if err := json.Unmarshal(text, &responses); err != nil {
		return nil, fmt.Errorf("what %s answered: %w", j.address, err)
	}
	if len(responses) != len(requests) {
		return nil, fmt.Errorf("%s answered %d of %d questions", j.address, len(responses), len(requests))
	}
	var values []json.RawMessage
	for i, r := range responses {
		if r.Status != http.StatusOK {
			return nil, fmt.Errorf("%s%v: %s", requests[i].Operation, requests[i].Attribute, r.Error)
		}
		values = append(values, r.Value)
	}
	return values, nil
}

func (j *jolokia) exec(ctx context.Context, operation string, arguments ...any) error {
	_, err := j.ask(ctx, request{Type: "exec", MBean: storageService, Operation: operation, Arguments: arguments})
	return err
}

func (j *jolokia) look(ctx context.Context) (view, error) {
	values, err := j.ask(ctx,
		request{Type: "read", MBean: storageService, Attribute: []string{
			"OperationMode", "NativeTransportRunning", "LocalHostId", "SchemaVersion", "LiveNodesWithPort", "JoiningNodesWithPort",
			"LeavingNodesWithPort", "MovingNodesWithPort", "TokenToEndpointWithPortMap", "EndpointWithPortToHostId",
		}},
		request{Type: "read", MBean: receivedRanges, Attribute: "Value"})
	if err != nil {
		return view{}, err
	}
	var status struct {
		OperationMode, LocalHostId, SchemaVersion                                          string
		NativeTransportRunning                                                             bool
		LiveNodesWithPort, JoiningNodesWithPort, LeavingNodesWithPort, MovingNodesWithPort []string
		TokenToEndpointWithPortMap, EndpointWithPortToHostId                               map[string]string
	}
	var received int
	if err := errors.Join(json.Unmarshal(values[0], &status), json.Unmarshal(values[1], &received)); err != nil {
		return view{}, fmt.Errorf("status of %s: %w", j.address, err)
	}
	v := view{
		Mode: status.OperationMode, Clients: status.NativeTransportRunning, HostID: status.LocalHostId, Schema: status.SchemaVersion,
		Received: received,
		Live:     status.LiveNodesWithPort, Joining: status.JoiningNodesWithPort, Leaving: status.LeavingNodesWithPort, Moving: status.MovingNodesWithPort,
		HostIDs: status.EndpointWithPortToHostId,
	}
	for _, owner := range status.TokenToEndpointWithPortMap {
		v.Owners = append(v.Owners, owner)
	}
	slices.Sort(v.Owners)
	v.Owners = slices.Compact(v.Owners)
	v.Racks, err = j.racks(ctx, slices.DeleteFunc(slices.Clone(v.Owners), func(o string) bool { return slices.Contains(v.Live, o) }))
	return v, err
}

// unknownRack is what the snitch calls the rack of an endpoint that it never heard of.
const unknownRack = "UNKNOWN_RACK"

// racks asks for those of some endpoints, as far as the node knows them.
func (j *jolokia) racks(ctx context.Context, endpoints []string) (map[string]string, error) {
	if len(endpoints) == 0 {
		return nil, nil
	}
	var requests []request
	for _, e := range endpoints {
		requests = append(requests, request{
			Type: "exec", MBean: "org.apache.cassandra.db:type=EndpointSnitchInfo", Operation: "getRack(java.lang.String)", Arguments: []any{e},
		})
	}
	values, err := j.ask(ctx, requests...)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for i, value := range values {
		var rack string
		if err := json.Unmarshal(value, &rack); err != nil {
			return nil, fmt.Errorf("rack of %s: %w", endpoints[i], err)
		}
		if rack != unknownRack {
			out[endpoints[i]] = rack
		}
	}
	return out, nil
}

func (j *jolokia) replicas(ctx context.Context) (map[string][][]string, error) {
	values, err := j.ask(ctx, request{Type: "read", MBean: storageService, Attribute: "NonLocalStrategyKeyspaces"})
	if err != nil {
		return nil, err
	}
	var keyspaces []string
	if err := json.Unmarshal(values[0], &keyspaces); err != nil {
		return nil, fmt.Errorf("keyspaces of %s: %w", j.address, err)
	}
	var requests []request
	for _, k := range keyspaces {
		requests = append(requests, request{
			Type: "exec", MBean: storageService, Operation: "getRangeToEndpointWithPortMap(java.lang.String)", Arguments: []any{k},
		})
	}
	values, err = j.ask(ctx, requests...)
	if err != nil {
		return nil, err
	}
	out := map[string][][]string{}
	for i, value := range values {
		var ranges map[string][]string
		if err := json.Unmarshal(value, &ranges); err != nil {
			return nil, fmt.Errorf("ranges of keyspace %s: %w", keyspaces[i], err)
		}
		for _, endpoints := range ranges {
			out[keyspaces[i]] = append(out[keyspaces[i]], endpoints)
		}
	}
	return out, nil
}

// begun is how long an operation is waited for that is refused at once or takes
// long. It goes on without who asked for it.
const begun = 3 * time.Second

func (j *jolokia) decommission(ctx context.Context, force bool) error {
	return j.begin(ctx, "decommission(boolean)", force)
}

func (j *jolokia) remove(ctx context.Context, hostID string) error {
	return j.begin(ctx, "removeNode(java.lang.String)", hostID)
}

func (j *jolokia) assassinate(ctx context.Context, endpoint string) error {
	_, err := j.ask(ctx, request{Type: "exec", MBean: "org.apache.cassandra.net:type=Gossiper", Operation: "assassinateEndpoint", Arguments: []any{endpoint}})
	return err
}

func (j *jolokia) begin(ctx context.Context, operation string, arguments ...any) error {
	short, cancel := context.WithTimeout(ctx, begun)
	defer cancel()
	if err := j.exec(short, operation, arguments...); err != nil && short.Err() == nil {
		return err
	}
	return ctx.Err()
}
