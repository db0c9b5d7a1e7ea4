package offers

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/constraints"
)

// placeOn is on which host each request was placed, "" where it was not.
func placeOn(t *testing.T, held []mesos.Offer, requests ...Request) (map[string]string, Report) {
	t.Helper()
	matches, report := Reserve(heldAs(held), requests)
	checkMatches(t, held, requests, matches)
	hosts := map[string]string{}
	for _, m := range matches {
		hosts[m.Node] = m.Hostname
	}
	return hosts, report
}

// plain wants the text, and nothing else.
func plain(node, text string) Request {
	return Request{Node: node, Pod: "pod", Role: "db", Needs: MustParse(text),
		Labels: []mesos.Label{{Key: "node", Value: &node}}}
}

func TestWhichAgentIsTaken(t *testing.T) {
	t.Parallel()
	three := []mesos.Offer{offer("a", 1, "cpus:4;mem:100"), offer("b", 2, "cpus:2;mem:100"), offer("c", 3, "cpus:8;mem:100")}
	gpus := []mesos.Offer{offer("a", 1, "cpus:4;gpus:1"), offer("b", 2, "cpus:4")}
	drained := []mesos.Offer{offer("a", 1, "cpus:4"), offer("b", 2, "cpus:4")}
	drained[0].Unavailability = &mesos.Unavailability{}
	cases := map[string]struct {
		held   []mesos.Offer
		change func(*Request)
		want   string
	}{
		"the first by id":          {three, func(*Request) {}, "host1"},
		"pack":                     {three, func(r *Request) { r.Prefer = Pack }, "host2"},
		"pack where it still fits": {three, func(r *Request) { r.Prefer = Pack; r.Needs = MustParse("cpus:3") }, "host1"},
		"spread":                   {three, func(r *Request) { r.Prefer = Spread }, "host3"},
		"the agent before":         {three, func(r *Request) { r.Last = "agent-2"; r.Prefer = Spread }, "host2"},
		"the only agent":           {three, func(r *Request) { r.Agent = "agent-2" }, "host2"},
		"what rules prefer":        {three, func(r *Request) { r.Place = constraints.Prefer(3, constraints.MustParse("hostname:LIKE:host3")) }, "host3"},
		"rules prefer before the last": {three, func(r *Request) {
			r.Last = "agent-2"
			r.Place = constraints.Prefer(3, constraints.MustParse("hostname:LIKE:host3"))
		}, "host3"},
		"GPUs are kept":                   {gpus, func(*Request) {}, "host2"},
		"GPUs for those who ask":          {gpus, func(r *Request) { r.Needs = MustParse("cpus:1;gpus:1") }, "host1"},
		"not one that is to be drained":   {drained, func(*Request) {}, "host2"},
		"a draining one if there is none": {drained[:1], func(*Request) {}, "host1"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := plain("node", "cpus:1")
			c.change(&request)
			hosts, report := placeOn(t, c.held, request)
			assert.Equal(t, c.want, hosts["node"], report.String())
		})
	}
}

// Whatever else is free, and whatever is preferred.
func TestNodeGoesBackToWhatItHas(t *testing.T) {
	t.Parallel()
	held := []mesos.Offer{offer("a", 1, fullAgent), offer("b", 2, fullAgent), offer("c", 3, fullAgent)}
	request := broker(0)
	request.Agent = "agent-2"
	matches, report := Reserve(heldAs(held), []Request{request})
	require.Len(t, matches, 1, report.String())
	after := newLedger()
	after.put(t, held[1].Resources...)
	for _, op := range matches[0].Operations {
		after.apply(t, op)
	}
	held[1].Resources = after.resources(t)
	request.Agent, request.Last, request.Prefer = "", "agent-3", Spread
	request.Place = constraints.And(request.Place, constraints.Prefer(9, constraints.MustParse("hostname:LIKE:host1")))
	again, _ := Reserve(heldAs(held), []Request{request, broker(1)})
	require.Len(t, again, 2)
	assert.Equal(t, "host2", again[0].Hostname)
	assert.Equal(t, matches[0].Ports, again[0].Ports)
	assert.Empty(t, again[0].Operations)
	assert.Equal(t, "host1", again[1].Hostname)
}

// What the operator reserved has no labels: there the volume is what is the
// node's.
func TestNodeGoesBackToVolumeOnStaticDisk(t *testing.T) {
	t.Parallel()
	held := []mesos.Offer{offer("a", 1, "cpus:4;disk:500"), with(offer("b", 2, "cpus:1"), reservedStatically("db", "cpus:1;disk:500")...)}
	request := plain("node", "cpus:1")
	request.Volumes = []Volume{{ID: "v", Path: "data", Size: 100_000}}
	request.Agent = "agent-2"
	matches, report := Reserve(heldAs(held), []Request{request})
	require.Len(t, matches, 1, report.String())
	require.Len(t, matches[0].Operations, 1, "it is reserved already: %v", matches[0].Operations)
	after := newLedger()
	after.put(t, held[1].Resources...)
	after.apply(t, matches[0].Operations[0])
	held[1].Resources = after.resources(t)

	request.Agent, request.Prefer = "", Spread
	again, report := Reserve(heldAs(held), []Request{request})
	require.Len(t, again, 1, report.String())
	assert.Equal(t, "host2", again[0].Hostname)
	assert.Empty(t, again[0].Operations)

	assert.Empty(t, Owned(heldAs(held), func([]mesos.Label) bool { return true }))
	owned := OwnedVolumes(heldAs(held), func(id string) bool { return id == "v" })
	require.Len(t, owned, 1)
	assert.Equal(t, "agent-2", owned[0].Agent)
	assert.Equal(t, "disk:100", Sum(owned[0].Resources).String())
	release := Release(owned[0].Resources)
	require.Len(t, release, 1, "the reservation stays")
	assert.Equal(t, mesos.Offer_Operation_DESTROY, release[0].Type)
	assert.Empty(t, OwnedVolumes(heldAs(held), func(id string) bool { return id == "w" }))
}

func TestHomeRegion(t *testing.T) {
	t.Parallel()
	at := func(o mesos.Offer, region, zone string) mesos.Offer {
		o.Domain = &mesos.DomainInfo{FaultDomain: &mesos.DomainInfo_FaultDomain{}}
		o.Domain.FaultDomain.Region.Name, o.Domain.FaultDomain.Zone.Name = region, zone
		return o
	}
	held := []mesos.Offer{
		at(offer("a", 1, "cpus:4"), "us", "us-1"), at(offer("b", 2, "cpus:4"), "eu", "eu-1"), offer("c", 3, "cpus:4"),
	}
	cases := map[string]struct {
		held  []mesos.Offer
		home  string
		rules string
		want  string
	}{
		"nobody asks":                   {held, "", "", "host1"},
		"only at home":                  {held, "eu", "", "host2"},
		"no domain is at home":          {held[2:], "eu", "", "host3"},
		"not away":                      {held[:1], "eu", "", ""},
		"not away, with other rules":    {held[:1], "eu", "hostname:UNIQUE", ""},
		"away where a rule says so":     {held, "eu", "@region:IS:us", "host1"},
		"away where a zone is named":    {held, "eu", "@zone:LIKE:us.*", "host1"},
		"at home beside what is wanted": {held, "eu", "hostname:UNLIKE:host2", "host3"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := plain("node", "cpus:1")
			request.Home, request.Place = c.home, constraints.MustParse(c.rules)
			hosts, report := placeOn(t, c.held, request)
			assert.Equal(t, c.want, hosts["node"], report.String())
			if c.want == "" {
				assert.Contains(t, report.String(), `home region eu: @region is "us"`)
			}
		})
	}
}

// A batch counts itself: in what rules prefer, and in what each dialect allows.
func TestBatchCountsItself(t *testing.T) {
	t.Parallel()
	var held []mesos.Offer // racks r0 and r1 in turn; the first agents have most
	for n := range 4 {
		held = append(held, offer(fmt.Sprint("o", n), n, fmt.Sprintf("cpus:%d", 9-n)))
	}
	parse := func(d constraints.Dialect, text string) constraints.Rules {
		rules, err := d.Parse(text)
		require.NoError(t, err)
		return rules
	}
	cases := map[string]struct {
		rules constraints.Rules
		want  []string // hosts of the nodes; empty where one is not placed
	}{
		"no rule":            {constraints.Rules{}, []string{"host0", "host0", "host0"}},
		"preferred spread":   {constraints.Prefer(1, parse(constraints.Marathon, "hostname:UNIQUE")), []string{"host0", "host1", "host2"}},
		"preferred racks":    {constraints.Prefer(1, parse(constraints.Marathon, "rack:GROUP_BY:2")), []string{"host0", "host1", "host0"}},
		"avoided":            {constraints.Prefer(-1, parse(constraints.Marathon, "rack:IS:r0")), []string{"host1", "host1", "host1"}},
		"demanded racks":     {parse(constraints.Marathon, "rack:GROUP_BY:2"), []string{"host0", "host1", "host0"}},
		"a share of a quota": {parse(constraints.MarathonQuota, "rack:GROUP_BY:2"), []string{"host0", "host0", "host1"}},
		"one group":          {parse(constraints.Kafka, "rack=groupBy,hostname=unique"), []string{"host0", "host2", ""}},
		"two dialects": {constraints.And(parse(constraints.DCOS, "hostname:max_per:1"), parse(constraints.Kafka, "rack=cluster:r1")),
			[]string{"host1", "host3", ""}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests []Request
			for n := range 3 {
				request := plain(fmt.Sprint("node-", n), "cpus:1")
				request.Place, request.Instances = c.rules, 3
				requests = append(requests, request)
			}
			hosts, report := placeOn(t, held, requests...)
			got := []string{hosts["node-0"], hosts["node-1"], hosts["node-2"]}
			assert.Equal(t, c.want, got, report.String())
		})
	}
}

func TestAllOrNothing(t *testing.T) {
	t.Parallel()
	group := func(node, text string) Request {
		r := plain(node, text)
		r.Group = "cluster"
		return r
	}
	held := []mesos.Offer{offer("a", 1, "cpus:2"), offer("b", 2, "cpus:2")}
	hosts, report := placeOn(t, held, group("x", "cpus:1.5"), group("y", "cpus:1.5"), group("z", "cpus:1.5"), plain("alone", "cpus:2"))
	assert.Equal(t, map[string]string{"alone": "host1"}, hosts)
	require.Len(t, report.Refusals, 3)
	for _, refusal := range report.Refusals {
		assert.Equal(t, "cluster", refusal.Group)
	}
	hosts, _ = placeOn(t, held, group("x", "cpus:1.5"), group("y", "cpus:1.5"), plain("alone", "cpus:2"))
	assert.Len(t, hosts, 2)

	_, report = placeOn(t, held, group("x", "cpus:2"), group("y", "cpus:3"))
	assert.Equal(t, "x: waits until all of cluster fit", strings.Split(report.String(), "\n")[0])
}

func TestTheWholePoolIsLookedAt(t *testing.T) {
	t.Parallel()
	small, large := offer("a", 1, "cpus:4"), offer("b", 2, "cpus:2")
	hosts, report := placeOn(t, []mesos.Offer{small, large}, plain("any", "cpus:1"), plain("large", "cpus:4"))
	assert.Equal(t, map[string]string{"any": "host2", "large": "host1"}, hosts, report.String())

	near := plain("near", "cpus:1")
	near.Pod, near.Place = "satellite", constraints.MustParse("hostname:NEAR:pod")
	hosts, report = placeOn(t, []mesos.Offer{small, large}, near, plain("sun", "cpus:3"))
	assert.Equal(t, map[string]string{"near": "host1", "sun": "host1"}, hosts, report.String())
}

func TestEveryPortFindsItsNumber(t *testing.T) {
	t.Parallel()
	request := plain("node", "cpus:1")
	request.Ports = []Port{
		{Name: "any"}, {Name: "wide", Begin: 1, End: 9}, {Name: "low", Begin: 1, End: 2}, {Name: "one", Begin: 1, End: 1},
		{Name: "high", Begin: 3, End: 9},
	}
	held := []mesos.Offer{offer("a", 1, "cpus:1;ports:[1-2,5-5,7-8]")}
	matches, report := Reserve(heldAs(held), []Request{request})
	require.Len(t, matches, 1, report.String())
	assert.Equal(t, map[string]uint64{"one": 1, "low": 2, "wide": 7, "high": 5, "any": 8}, sortedPorts(matches[0].Ports))
	checkMatches(t, held, []Request{request}, matches)

	request.Ports = append(request.Ports, Port{Name: "more"})
	_, report = Reserve(heldAs(held), []Request{request})
	assert.Contains(t, report.String(), "not free")
}

// sortedPorts gives wide the higher of its number and that of high: they may
// be either way round.
func sortedPorts(ports map[string]uint64) map[string]uint64 {
	ports["wide"], ports["high"] = max(ports["wide"], ports["high"]), min(ports["wide"], ports["high"])
	return ports
}

func TestKindsOfResources(t *testing.T) {
	t.Parallel()
	revocable := MustParse("cpus:4").List()[0]
	revocable.Revocable = &mesos.Resource_RevocableInfo{}
	profiled := func(kind mesos.Resource_DiskInfo_Source_Type, profile, id, text string) mesos.Resource {
		r := MustParse(text).List()[0]
		r.Disk = &mesos.Resource_DiskInfo{Source: &mesos.Resource_DiskInfo_Source{Type: kind, Profile: &profile, ID: &id}}
		return r
	}
	t.Run("revocable only when asked for", func(t *testing.T) {
		t.Parallel()
		held := []mesos.Offer{with(offer("a", 1, "cpus:1"), revocable)}
		request := plain("node", "cpus:2")
		request.Unreserved = true
		matches, _ := Reserve(heldAs(held), []Request{request})
		assert.Empty(t, matches)
		request.Revocable = true
		matches, _ = Reserve(heldAs(held), []Request{request})
		require.Len(t, matches, 1)
		assert.NotNil(t, matches[0].Resources[0].Revocable)
		assert.Empty(t, matches[0].Operations)
		request.Needs = MustParse("cpus:5")
		matches, _ = Reserve(heldAs(held), []Request{request})
		assert.Empty(t, matches, "not 4 revocable and 1 other")
	})
	t.Run("any scalar, set and range by name", func(t *testing.T) {
		t.Parallel()
		held := []mesos.Offer{offer("a", 1, "fpga:2;disks:{sda,sdb};vlans:[1-100]"), offer("b", 2, "fpga:2;disks:{sdb,sdc};vlans:[1-100]")}
		hosts, report := placeOn(t, held, plain("node", "fpga:1.5"))
		assert.Equal(t, "host1", hosts["node"], report.String())
		request := plain("node", "fpga:1;disks:{sdc};vlans:[7-8]")
		matches, report := Reserve(heldAs(held), []Request{request})
		require.Len(t, matches, 1, report.String())
		assert.Equal(t, "disks:{sdc};fpga:1;vlans:[7-8]", Sum(matches[0].Resources).String())
		request.Needs = MustParse("disks:{sdz}")
		_, report = Reserve(heldAs(held), []Request{request})
		assert.Equal(t, "node: 2 agents looked at: 2 × disks: {sdz} not free", report.String())
	})
	t.Run("a role above is refined", func(t *testing.T) {
		t.Parallel()
		held := []mesos.Offer{offer("a", 1, "cpus:1")}
		held[0].Resources = allocated("eng/db", append(reservedStatically("eng", "cpus:2"), held[0].Resources...))
		held[0].AllocationInfo.Role = new("eng/db")
		request := plain("node", "cpus:2.5")
		request.Role = "eng/db"
		hosts, report := placeOn(t, held, request)
		assert.Equal(t, "host1", hosts["node"], report.String())
		request.Role = "eng/dbx"
		_, report = placeOn(t, held, request)
		assert.Equal(t, `node: 1 agent looked at: 1 × role: not offered to "eng/dbx"`, report.String())
	})
	t.Run("a disk of a profile", func(t *testing.T) {
		t.Parallel()
		request := plain("node", "cpus:1")
		request.Volumes = []Volume{{ID: "v", Path: "data", Size: 100_000, Disk: MountDisk, Profile: "fast"}}
		held := []mesos.Offer{with(offer("a", 1, "cpus:1"), profiled(mesos.Resource_DiskInfo_Source_MOUNT, "slow", "1", "disk:500")),
			with(offer("b", 2, "cpus:1"), profiled(mesos.Resource_DiskInfo_Source_MOUNT, "fast", "2", "disk:500"))}
		hosts, report := placeOn(t, held, request)
		assert.Equal(t, "host2", hosts["node"], report.String())
		request.Volumes[0].Disk = BlockDisk
		held = []mesos.Offer{with(offer("b", 2, "cpus:1"), profiled(mesos.Resource_DiskInfo_Source_BLOCK, "fast", "2", "disk:500"))}
		matches, report := Reserve(heldAs(held), []Request{request})
		require.Len(t, matches, 1, report.String())
		require.Len(t, matches[0].Operations, 1, "no volume is made on a device")
	})
	t.Run("a disk is made of a RAW one", func(t *testing.T) {
		t.Parallel()
		request := plain("node", "cpus:1")
		request.Volumes = []Volume{{ID: "v", Path: "data", Size: 100_000, Disk: MountDisk, Profile: "fast"}}
		held := []mesos.Offer{with(offer("a", 1, "cpus:1"), profiled(mesos.Resource_DiskInfo_Source_RAW, "fast", "", "disk:500")),
			with(offer("b", 2, "cpus:1"), profiled(mesos.Resource_DiskInfo_Source_RAW, "fast", "7", "disk:200"))}
		accept, ok := MakeDisk(heldAs(held), request, request.Volumes[0])
		require.True(t, ok)
		assert.Equal(t, "agent-2", accept.Agent, "the smallest that will do")
		require.Len(t, accept.Operations, 2)
		assert.Equal(t, mesos.Resource_DiskInfo_Source_MOUNT, accept.Operations[1].CreateDisk.TargetType)
		assert.InDelta(t, 200, accept.Operations[1].CreateDisk.Source.Scalar.Value, 0)
		request.Agent = "agent-1"
		accept, ok = MakeDisk(heldAs(held), request, request.Volumes[0])
		require.True(t, ok)
		assert.InDelta(t, 100, accept.Operations[1].CreateDisk.Source.Scalar.Value, 0, "a pool is divided")
		_, ok = MakeDisk(heldAs(held), request, Volume{ID: "v", Path: "data", Size: 1000_000, Disk: MountDisk, Profile: "fast"})
		assert.False(t, ok)
		_, ok = MakeDisk(heldAs(held), request, Volume{ID: "v", Path: "data", Size: 1000})
		assert.False(t, ok, "the root disk is no RAW disk")
	})
	t.Run("a shared volume", func(t *testing.T) {
		t.Parallel()
		first, second := plain("first", "cpus:0.1"), plain("second", "cpus:0.1")
		first.Volumes = []Volume{{ID: "v", Path: "data", Size: 100_000, Shared: true}}
		second.Volumes = []Volume{{ID: "v", Path: "shared", Size: 100_000, Shared: true}}
		held := []mesos.Offer{offer("a", 1, "cpus:1;disk:500")}
		matches, report := Reserve(heldAs(held), []Request{first})
		require.Len(t, matches, 1, report.String())
		after := newLedger()
		after.put(t, held[0].Resources...)
		for _, op := range matches[0].Operations {
			after.apply(t, op)
		}
		held[0].Resources = after.resources(t)
		third := second
		third.Node = "third"
		matches, report = Reserve(heldAs(held), []Request{second, third})
		require.Len(t, matches, 2, report.String())
		for _, m := range matches {
			require.Len(t, m.Operations, 1)
			assert.Equal(t, "cpus:0.1", Sum(m.Operations[0].Reserve.Resources).String())
		}
		notShared := second
		notShared.Volumes = []Volume{{ID: "v", Path: "shared", Size: 450_000}}
		matches, _ = Reserve(heldAs(held), []Request{notShared})
		assert.Empty(t, matches)
	})
}

func TestOperationsHaveIDsWhenAskedFor(t *testing.T) {
	t.Parallel()
	request := broker(0)
	request.Operation = "kafka.broker-0.1"
	matches, _ := Reserve(heldAs([]mesos.Offer{offer("a", 1, fullAgent)}), []Request{request})
	require.Len(t, matches, 1)
	var ids []string
	for _, op := range matches[0].Operations {
		ids = append(ids, op.ID.Value)
	}
	assert.Equal(t, []string{"kafka.broker-0.1.reserve", "kafka.broker-0.1.create"}, ids)
}

func TestInvalidRequests(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		change func(*Request)
		err    string
	}{
		"role *":            {func(r *Request) { r.Role = "*" }, `Role: "*" cannot be reserved for`},
		"ports in needs":    {func(r *Request) { r.Needs = MustParse("ports:[1-2]") }, "Needs: ports [1-2]: ports belong in Ports"},
		"below zero":        {func(r *Request) { r.Needs = r.Needs.With("cpus", -1) }, "Needs: cpus: -0.001 is below zero"},
		"port backwards":    {func(r *Request) { r.Ports[0].Begin = 9999 }, "Ports: client: 9999-9092 ends before it begins"},
		"port twice":        {func(r *Request) { r.Ports[1].Name = "client" }, `Ports: name "client" is empty or comes twice`},
		"volume ID":         {func(r *Request) { r.Volumes[0].ID = "a/b" }, `Volumes: ID "a/b" is not one name of a directory`},
		"volume twice":      {func(r *Request) { r.Volumes = append(r.Volumes, r.Volumes[0]) }, `Volumes: ID "kafka-0" comes twice`},
		"volume path":       {func(r *Request) { r.Volumes[0].Path = "../x" }, `Path "../x" is not inside the sandbox`},
		"absolute path":     {func(r *Request) { r.Volumes[0].Path = "/x" }, `Path "/x" is not inside the sandbox`},
		"volume size":       {func(r *Request) { r.Volumes[0].Size = 0 }, "Size 0 is not above zero (MiB)"},
		"disk type":         {func(r *Request) { r.Volumes[0].Disk = 9 }, "Disk 9 is none of"},
		"profile of root":   {func(r *Request) { r.Volumes[0].Profile = "fast" }, `Profile "fast": the root disk has none`},
		"shared device":     {func(r *Request) { r.Volumes[0].Disk, r.Volumes[0].Shared = BlockDisk, true }, "Shared: a BLOCK disk holds no volume"},
		"unreserved volume": {func(r *Request) { r.Unreserved = true }, "Unreserved: a volume needs a reservation"},
		"revocable":         {func(r *Request) { r.Revocable = true }, "Revocable: such resources cannot be reserved"},
		"preference":        {func(r *Request) { r.Prefer = 7 }, "Prefer: 7 is none of Any, Pack, Spread"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := broker(0)
			c.change(&request)
			assert.ErrorContains(t, request.Validate(), c.err)
			matches, report := Reserve(heldAs([]mesos.Offer{offer("a", 1, fullAgent)}), []Request{request})
			assert.Empty(t, matches)
			assert.Contains(t, report.String(), c.err)
		})
	}
	request := broker(0)
	assert.NoError(t, request.Validate())
}

func TestReportsAddUp(t *testing.T) {
	t.Parallel()
	held := []mesos.Offer{offer("a", 1, "cpus:4;mem:100"), offer("b", 2, "cpus:1;mem:700")}
	_, first := placeOn(t, held, plain("x", "cpus:2;mem:500"), plain("y", "cpus:9"))
	_, second := placeOn(t, held[:1], plain("x", "cpus:2;mem:500"))
	sum := first.Add(second)
	require.Len(t, sum.Refusals, 2)
	assert.Equal(t, 2, sum.Refusals[0].Times)
	assert.Equal(t, 1, sum.Refusals[0].Agents, "the later stands")
	totals := maps.Collect(first.Totals())
	assert.Equal(t, map[string]int{"cpus": 3, "mem": 1}, totals)
	assert.Equal(t, "x: 2 agents looked at: 1 × mem: wants 500, best 100 on host1 (short by 400); "+
		"1 × cpus: wants 2, best 1 on host2 (short by 1). It would fit with mem 100, or with cpus 1\n"+
		"y: 2 agents looked at: 2 × cpus: wants 9, best 4 on host1 (short by 5). It would fit with cpus 4", first.String())
	assert.Equal(t, "host2: cpus: wants 2, best 1 on host2 (short by 1)", first.Refusals[0].Nearest[0].String())

	_, report := placeOn(t, held, Request{Node: "z", Role: "db", Agent: "agent-9"})
	assert.Equal(t, "z: agent agent-9, the only one for it, is not offered", report.String())
	foreign := plain("z", "cpus:9")
	foreign.Role = "other"
	_, report = placeOn(t, held, foreign)
	assert.Equal(t, `z: 2 agents looked at: 2 × role: not offered to "other"`, report.String())
	_, report = placeOn(t, nil, plain("z", "cpus:1"))
	assert.Equal(t, "z: no agent is offered", report.String())
}
