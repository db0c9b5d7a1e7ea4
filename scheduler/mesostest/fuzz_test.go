package mesostest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/gogo/protobuf/proto"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
	mesosmaster "github.com/mesos/mesos-go/api/v1/lib/master"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/mesokit/mesokit/internal/model"
)

// recordedCalls adds the calls of all recordings to a corpus.
func recordedCalls(f *testing.F) {
	files, err := filepath.Glob("testdata/recordings/*.jsonl")
	if err != nil || len(files) == 0 {
		f.Fatal("no recordings", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		s := bufio.NewScanner(bytes.NewReader(data))
		s.Buffer(nil, 1<<20)
		for s.Scan() {
			var line object
			if json.Unmarshal(s.Bytes(), &line) == nil && dig(line, "send", "body") != nil {
				f.Add([]byte(show(dig(line, "send", "body"))))
			}
		}
	}
}

// world is a master with an agent, a framework that has an offer, and a
// running task.
type world struct {
	t      testing.TB
	master *model.Master
	agent  *model.Agent
	now    time.Time
	id     string
	offer  mesos.Offer
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	w.master = model.NewMaster(model.Config{Info: mesos.MasterInfo{ID: "M"}}, model.Registry{}, w.now)
	resources, err := parseResources(defaultResources)
	if err != nil {
		t.Fatal(err)
	}
	w.agent, err = model.NewAgent(model.AgentConfig{Name: "a", Info: mesos.AgentInfo{Hostname: "a", Resources: resources}}, w.now)
	if err != nil {
		t.Fatal(err)
	}
	w.toAgent(model.MasterFound{})
	w.toMaster(model.Call{Stream: "s", Call: &scheduler.Call{Type: scheduler.Call_SUBSCRIBE, Subscribe: &scheduler.Call_Subscribe{
		FrameworkInfo: &mesos.FrameworkInfo{User: "root", Name: "f", Checkpoint: new(true), FailoverTimeout: new(60.0), Roles: []string{"*"}, Capabilities: []mesos.FrameworkInfo_Capability{
			{Type: mesos.FrameworkInfo_Capability_MULTI_ROLE}, {Type: mesos.FrameworkInfo_Capability_RESERVATION_REFINEMENT},
		}}}}})
	launch := mesos.Offer_Operation{Type: mesos.Offer_Operation_LAUNCH, Launch: &mesos.Offer_Operation_Launch{TaskInfos: []mesos.TaskInfo{{
		Name: "t", TaskID: mesos.TaskID{Value: "t"}, AgentID: w.offer.AgentID, Command: &mesos.CommandInfo{Value: new("true")},
		Resources: []mesos.Resource{{Name: "cpus", Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: 1}}},
	}}}}
	w.toMaster(model.Call{Stream: "s", Call: &scheduler.Call{Type: scheduler.Call_ACCEPT, FrameworkID: &mesos.FrameworkID{Value: w.id},
		Accept: &scheduler.Call_Accept{OfferIDs: []mesos.OfferID{w.offer.ID}, Operations: []mesos.Offer_Operation{launch},
			Filters: &mesos.Filters{RefuseSeconds: new(0.0)}}}})
	w.now = w.now.Add(2 * time.Second)
	w.toMaster(model.Tick{})
	return w
}

func (w *world) toMaster(in model.Input) {
	for _, out := range w.master.Step(w.now, in) {
		switch out := out.(type) {
		case model.Send:
			w.toAgent(model.MasterSaid{Message: out.Message})
		case model.Emit:
			both(w.t, out.Event)
			switch out.Event.Type {
			case scheduler.Event_SUBSCRIBED:
				w.id = out.Event.Subscribed.FrameworkID.Value
			case scheduler.Event_OFFERS:
				w.offer = out.Event.Offers.Offers[0]
			}
		}
	}
	if err := w.master.Check(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) toAgent(in model.AgentInput) {
	for _, out := range w.agent.Step(w.now, in) {
		switch out := out.(type) {
		case model.TellMaster:
			w.toMaster(model.AgentSaid{From: "link", Message: out.Message})
		case model.ExecutorEvent:
			both(w.t, out.Event)
		}
	}
}

// both checks that the two encodings of a message say the same.
func both(t testing.TB, msg proto.Message) {
	t.Helper()
	b, err := proto.Marshal(msg)
	if err != nil {
		return // a required field is missing, which JSON does not mind
	}
	again := proto.Clone(msg)
	again.Reset()
	if err := proto.Unmarshal(b, again); err != nil {
		t.Fatalf("decode what was encoded: %s", err)
	}
	if x, y := toJSON(msg), toJSON(again); !bytes.Equal(x, y) {
		t.Fatalf("JSON says %s, the protocol buffer %s", x, y)
	}
}

// FuzzSchedulerCallJSON decodes a call and lets a master act on it: whatever
// comes, nothing panics, and the accounts stay right.
func FuzzSchedulerCallJSON(f *testing.F) {
	recordedCalls(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := parseJSON(data)
		if err != nil {
			return
		}
		call := &scheduler.Call{}
		if fromJSON(v, call, "Call") != nil {
			return
		}
		constraints, err := constraintsFromJSON(v)
		if err != nil {
			return
		}
		actOn(t, call, constraints)
	})
}

// FuzzSchedulerCallProtobuf does the same with the other encoding.
func FuzzSchedulerCallProtobuf(f *testing.F) {
	f.Add([]byte("\x10\x01\x1a\x0a\x0a\x08\x0a\x01u\x12\x01n\x1a\x00"))
	f.Add([]byte("\x10\x04\x0a\x01f\x2a\x03\x0a\x01o"))
	f.Fuzz(func(t *testing.T, data []byte) {
		constraints, data, err := constraintsFromWire(data)
		if err != nil {
			return
		}
		call := &scheduler.Call{}
		if proto.Unmarshal(data, call) != nil {
			return
		}
		actOn(t, call, constraints)
	})
}

func actOn(t *testing.T, call *scheduler.Call, constraints model.OfferConstraints) {
	both(t, call)
	w := newWorld(t)
	stream := "s"
	if call.Type == scheduler.Call_SUBSCRIBE {
		stream = "other"
	} else {
		call.FrameworkID = &mesos.FrameworkID{Value: w.id}
	}
	if call.Accept != nil {
		call.Accept.OfferIDs = []mesos.OfferID{w.offer.ID}
		for i := range call.Accept.Operations {
			if l := call.Accept.Operations[i].Launch; l != nil {
				for j := range l.TaskInfos {
					l.TaskInfos[j].AgentID = w.offer.AgentID
				}
			}
		}
	}
	w.toMaster(model.Call{Stream: stream, Call: call, Constraints: constraints})
	for range 3 {
		w.now = w.now.Add(10 * time.Second)
		w.toMaster(model.Tick{})
		w.toAgent(model.Tick{})
	}
	both(t, w.master.GetState().GetTasks)
}

// FuzzExecutorCall decodes an executor's call and lets an agent act on it.
func FuzzExecutorCall(f *testing.F) {
	f.Add([]byte(`{"type":"SUBSCRIBE","framework_id":{"value":"M-0000"},"executor_id":{"value":"t"},"subscribe":{}}`))
	f.Add([]byte(`{"type":"UPDATE","framework_id":{"value":"M-0000"},"executor_id":{"value":"t"},"update":{"status":{"task_id":{"value":"t"},"state":"TASK_RUNNING","source":"SOURCE_EXECUTOR","uuid":"3Emqi3rPQJuiUMwd21MmFw=="}}}`))
	f.Add([]byte(`{"type":"MESSAGE","framework_id":{"value":"M-0000"},"executor_id":{"value":"t"},"message":{"data":"aGk="}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := parseJSON(data)
		if err != nil {
			return
		}
		call := &executor.Call{}
		if fromJSON(v, call, "Call") != nil {
			return
		}
		both(t, call)
		w := newWorld(t)
		w.toAgent(model.ExecutorCall{Stream: "x", Call: &executor.Call{
			Type: executor.Call_SUBSCRIBE, FrameworkID: mesos.FrameworkID{Value: w.id}, ExecutorID: mesos.ExecutorID{Value: "t"},
			Subscribe: &executor.Call_Subscribe{},
		}})
		w.toAgent(model.ExecutorCall{Stream: "y", Call: call})
		w.now = w.now.Add(time.Minute)
		w.toAgent(model.Tick{})
	})
}

// operateOn lets a master act on an operator's call.
func operateOn(t *testing.T, call *mesosmaster.Call) {
	request, err := requestOf(call)
	if err != nil || request == nil {
		return
	}
	w := newWorld(t)
	w.toMaster(model.Operate{Request: request})
	for range 3 {
		w.now = w.now.Add(10 * time.Second)
		w.toMaster(model.Tick{})
		w.toAgent(model.Tick{})
	}
	both(t, w.master.GetState().GetTasks)
	status := w.master.MaintenanceStatus()
	both(t, &status)
}

// FuzzAgentFlags reads resources and attributes as they are configured. What
// is accepted is arithmetic's: it survives the wire, and what was added can be
// taken away again.
func FuzzAgentFlags(f *testing.F) {
	for _, s := range []string{defaultResources, "cpus(a/b):0.001;ports:[1-2,3-3,2-9];x:{a,b}", "rack:r1;level:2;span:[10-20,30-40]", "cpus:1e300", "cpus():1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		_, _ = parseAttributes(s)
		_, _ = parseMinOffer(s)
		wire, err := parseResources(s)
		if err != nil {
			return
		}
		rs, err := model.NewResources(wire)
		if err != nil {
			return
		}
		again, err := model.NewResources(rs.Wire(model.Format{Stack: true}))
		if err != nil || !again.Equal(rs) {
			t.Errorf("%q: %s on the wire is %s (%v)", s, rs, again, err)
		}
		if left, ok := rs.Plus(rs).Minus(rs); !rs.Contains(rs) || s != "" && (!ok || !left.Equal(rs)) && !hasSets(wire) {
			t.Errorf("%q: twice %s less once is %s (%v)", s, rs, left, ok)
		}
	})
}

// hasSets tells resources of which twice is the same as once.
func hasSets(rs []mesos.Resource) bool {
	return slices.ContainsFunc(rs, func(r mesos.Resource) bool { return r.GetType() != mesos.SCALAR })
}
