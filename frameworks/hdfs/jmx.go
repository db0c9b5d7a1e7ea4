package hdfs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// askWithin bounds a question, so that a machine that is gone does not keep others
// from being asked.
const askWithin = 5 * time.Second

// jmx asks a server for its beans of a name, which may be a pattern, each as its
// attributes. What Hadoop packs as JSON into a string is unpacked by whoever
// wants it.
func jmx(ctx context.Context, address, query string) ([]map[string]any, error) {
	from := "http://" + address + "/jmx?qry=" + url.QueryEscape(query)
	text, err := get(ctx, from)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Beans []map[string]any `json:"beans"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, fmt.Errorf("GET %s: %w", from, err)
	}
	return answer.Beans, nil
}

// get asks a server by HTTP.
func get(ctx context.Context, from string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s", from, response.Status)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err == nil && len(text) > maxAnswer {
		err = fmt.Errorf("more than %d bytes", maxAnswer)
	}
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w", from, err)
	}
	return text, nil
}

// bean asks for the one bean of a name.
func bean(ctx context.Context, address, name string) (map[string]any, error) {
	beans, err := jmx(ctx, address, name)
	if err == nil && len(beans) != 1 {
		err = fmt.Errorf("%s does not tell of itself yet (%s)", address, name)
	}
	if err != nil {
		return nil, err
	}
	return beans[0], nil
}

func text(b map[string]any, attribute string) string {
	s, _ := b[attribute].(string)
	return s
}

func number(b map[string]any, attribute string) int64 {
	n, _ := b[attribute].(float64)
	return int64(n)
}

// unpack reads an attribute that is JSON in a string.
func unpack(b map[string]any, attribute string, into any) error {
	if err := json.Unmarshal([]byte(text(b, attribute)), into); err != nil {
		return fmt.Errorf("%s: %w", attribute, err)
	}
	return nil
}

// nameState is what a name node says of itself.
type nameState struct {
	Active   bool   `json:"active,omitempty"`
	Cluster  string `json:"cluster,omitempty"`
	SafeMode string `json:"safe_mode,omitempty"` // empty: it is off
	// Live and Dead are the data nodes as "host:port".
	Live map[string]dataState `json:"live,omitempty"`
	Dead map[string]dataState `json:"dead,omitempty"`
}

// dataState is what a name node says of a data node.
type dataState struct {
	Address string `json:"xferaddr"` // as clients are told
	State   string `json:"adminState"`
}

// The admin states of a data node.
const (
	inService      = "In Service"
	decommissioned = "Decommissioned"
)

func askName(ctx context.Context, http string) (nameState, error) {
	status, err := bean(ctx, http, "Hadoop:service=NameNode,name=NameNodeStatus")
	if err != nil {
		return nameState{}, err
	}
	info, err := bean(ctx, http, "Hadoop:service=NameNode,name=NameNodeInfo")
	if err != nil {
		return nameState{}, err
	}
	s := nameState{Active: text(status, "State") == "active", Cluster: text(info, "ClusterId"), SafeMode: text(info, "Safemode")}
	if s.Cluster == "" {
		return s, errors.New("has not read its namespace yet")
	}
	return s, errors.Join(unpack(info, "LiveNodes", &s.Live), unpack(info, "DeadNodes", &s.Dead))
}

// blocks says how well the blocks of an active name node are replicated.
type blocks struct{ missing, corrupt, short, pending int64 }

// askBlocks asks the beans that tell what is so at the moment: the one that is
// called FSNamesystem remembers its numbers for ten seconds.
func askBlocks(ctx context.Context, http string) (blocks, error) {
	whole, err1 := bean(ctx, http, "Hadoop:service=NameNode,name=ReplicatedBlocksState")
	coded, err2 := bean(ctx, http, "Hadoop:service=NameNode,name=ECBlockGroupsState")
	all, err3 := bean(ctx, http, "Hadoop:service=NameNode,name=FSNamesystemState")
	return blocks{
		missing: number(whole, "MissingReplicatedBlocks") + number(coded, "MissingECBlockGroups"),
		corrupt: number(whole, "CorruptReplicatedBlocks") + number(coded, "CorruptECBlockGroups"),
		short: max(number(all, "UnderReplicatedBlocks"),
			number(whole, "LowRedundancyReplicatedBlocks")+number(coded, "LowRedundancyECBlockGroups")),
		pending: number(all, "PendingReplicationBlocks"),
	}, errors.Join(err1, err2, err3)
}

// Threads of a name node. The first goes through all blocks for those that have
// too few replicas, when it becomes active or leaves safe mode; what it says of its
// progress is not used, which stays below the end where blocks were deleted
// meanwhile, or none was there. The second begins after the first has, and ends
// when the name node is no longer active.
const (
	scanThread   = "Reconstruction Queue Initializer"
	activeThread = "FSNamesystem$NameNodeEditLogRoller"
)

// counted says whether a name node that calls itself active has looked for blocks
// that have too few replicas; before, it says that there are none.
func counted(ctx context.Context, http string) error {
	threads, err := get(ctx, "http://"+http+"/stacks")
	switch {
	case err != nil:
		return err
	case !bytes.Contains(threads, []byte(activeThread)):
		return errors.New("is becoming active")
	case bytes.Contains(threads, []byte(scanThread)):
		return errors.New("has just become active, and still looks for blocks that have too few replicas")
	}
	return nil
}

// askUser says as whom a server runs, which is who may ask a name node everything.
func askUser(ctx context.Context, http string) (string, error) {
	b, err := bean(ctx, http, "java.lang:type=Runtime")
	if err != nil {
		return "", err
	}
	properties, _ := b["SystemProperties"].([]any)
	for _, p := range properties {
		if p, _ := p.(map[string]any); text(p, "key") == "user.name" {
			return text(p, "value"), nil
		}
	}
	return "", fmt.Errorf("%s does not tell as whom it runs", http)
}

// askLeaving says how many blocks of a data node are to be copied before it may
// leave, and how many of them are in files that somebody still writes, or that
// nobody closed (until dfs.namenode.lease-hard-limit-sec).
func askLeaving(ctx context.Context, http, node string) (few, open int64, err error) {
	info, err := bean(ctx, http, "Hadoop:service=NameNode,name=NameNodeInfo")
	if err != nil {
		return 0, 0, err
	}
	var leaving map[string]struct {
		Few  int64 `json:"underReplicatedBlocks"`
		Open int64 `json:"underReplicateInOpenFiles"`
	}
	err = unpack(info, "DecomNodes", &leaving)
	return leaving[node].Few, leaving[node].Open, err
}

// askWriter asks an active name node which journal nodes, by address, take part
// in what it writes.
func askWriter(ctx context.Context, http string) (map[string]bool, error) {
	beans, err := jmx(ctx, http, "Hadoop:service=NameNode,name=IPCLoggerChannel-*")
	inSync := map[string]bool{}
	for _, b := range beans {
		_, at, _ := strings.Cut(text(b, "name"), "name=IPCLoggerChannel-")
		host, port, ok := cutLast(at, "-")
		if ok {
			inSync[host+":"+port] = text(b, "tag.IsOutOfSync") == "false"
		}
	}
	return inSync, err
}

func cutLast(s, separator string) (before, after string, found bool) {
	i := strings.LastIndex(s, separator)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(separator):], true
}

// askJournal says whether a journal node serves, and holds the journal of a
// name service of this identity.
func askJournal(ctx context.Context, http, service string, id identity) error {
	b, err := bean(ctx, http, "Hadoop:service=JournalNode,name=JournalNodeInfo")
	if err != nil {
		return err
	}
	if text(b, "HostAndPort") == "" {
		return fmt.Errorf("%s does not serve yet", http)
	}
	var journals map[string]struct{ Formatted string }
	if err := unpack(b, "JournalsStatus", &journals); err != nil {
		return err
	}
	if journals[service].Formatted != "true" {
		return fmt.Errorf("%s has no journal of %s", http, service)
	}
	// It reads what it holds when it is first asked for it.
	if ids, _ := b["ClusterIds"].([]any); len(ids) > 0 && !slices.Contains(ids, any(id.Cluster)) {
		return fmt.Errorf("%s has the journal of another cluster: %v", http, ids)
	}
	return nil
}
