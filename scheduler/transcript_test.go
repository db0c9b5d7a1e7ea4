package scheduler_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/state"
)

var update = flag.Bool("update", false, "rewrite the effects in testdata/*.txt")

// TestTranscripts steps a machine through each file of testdata. A paragraph
// is an optional "+duration", an event, what the handler decides on it (lines
// that are indented), and after "----" the effects. "restart" makes a new
// machine from what was saved; "view" shows what a handler sees.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			script, err := os.ReadFile(file)
			require.NoError(t, err)
			got := newTranscript(t).run(string(script))
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(got), 0o600))
				return
			}
			assert.Equal(t, string(script), got)
		})
	}
}

type transcript struct {
	t          *testing.T
	machine    *scheduler.Machine
	start      time.Time
	now        time.Time
	records    map[string]state.Record
	decision   []string // what the handler decides next
	heard      bool
	shown      string // by view
	subscribed string // how, for the next effects
	audit      audit
}

func newTranscript(t *testing.T) *transcript {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	tr := &transcript{t: t, start: start, now: start, records: map[string]state.Record{}}
	tr.restart()
	return tr
}

func (tr *transcript) restart() {
	var records []state.Record
	for _, key := range sortedKeys(tr.records) {
		records = append(records, tr.records[key])
	}
	m, err := scheduler.NewMachine(scheduler.HandlerFunc(tr.handle), []byte("seed"), records)
	require.NoError(tr.t, err)
	tr.machine = m
}

func (tr *transcript) run(script string) string {
	var out strings.Builder
	for i, paragraph := range strings.Split(strings.TrimSpace(script), "\n\n") {
		if i > 0 {
			out.WriteString("\n")
		}
		input, _, _ := strings.Cut(paragraph, "\n----")
		out.WriteString(input + "\n")
		if effects := tr.paragraph(strings.Split(input, "\n")); effects != "" {
			out.WriteString("----\n" + effects)
		}
	}
	return out.String()
}

// paragraph applies one event and returns its effects.
func (tr *transcript) paragraph(lines []string) string {
	lines = slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return strings.HasPrefix(l, "#") })
	if len(lines) == 0 {
		return ""
	}
	if after, ok := strings.CutPrefix(lines[0], "+"); ok {
		d, err := time.ParseDuration(after)
		require.NoError(tr.t, err)
		tr.now = tr.now.Add(d)
		lines = lines[1:]
	}
	tr.decision = lines[1:]
	switch lines[0] {
	case "restart":
		tr.restart()
		return ""
	case "view":
		tr.decision = []string{"show"}
		tr.step(scheduler.Command{})
		return tr.shown
	}
	return tr.step(tr.event(strings.Fields(lines[0])))
}

func (tr *transcript) step(ev scheduler.Event) string {
	var out strings.Builder
	out.WriteString(tr.subscribed)
	tr.heard, tr.subscribed = false, ""
	e := tr.machine.Step(tr.now, ev)
	tr.audit.check(tr.t, e)
	for _, r := range e.Save {
		tr.records[r.Key] = r
		if r.Value == nil {
			delete(tr.records, r.Key)
		}
	}
	if !tr.heard {
		out.WriteString("(the handler does not hear of it)\n")
	}
	for _, r := range e.Save {
		out.WriteString("save " + showRecord(r) + "\n")
	}
	for _, call := range e.Send {
		out.WriteString("send " + showCall(call) + "\n")
		if call.Type == sched.Call_UPDATE_FRAMEWORK {
			out.WriteString("(constraints " + showConstraints(e.Constraints) + ")\n")
		}
	}
	for _, job := range e.Start {
		fmt.Fprintf(&out, "start %s\n", job.Name)
	}
	for _, name := range e.Cancel {
		fmt.Fprintf(&out, "cancel %s\n", name)
	}
	for _, a := range e.Answer {
		fmt.Fprintf(&out, "answer %d %v %v\n", a.Command, a.Value, a.Err)
	}
	for _, n := range e.Note {
		fmt.Fprintf(&out, "note %s %v\n", n.Text, n.Attrs)
	}
	if !e.Wake.IsZero() {
		fmt.Fprintf(&out, "wake %v\n", e.Wake.Sub(tr.start))
	}
	if e.Done {
		out.WriteString("done\n")
	}
	return out.String()
}

// masterInfo is a master of a version, with the capabilities that it had.
func masterInfo(version string) *mesos.MasterInfo {
	info := &mesos.MasterInfo{Version: &version}
	if slices.Contains([]string{"1.9", "1.10", "1.11", "1.12"}, strings.TrimSuffix(version, ".0")) {
		for c := range mesos.MasterInfo_Capability_Type(4) {
			info.Capabilities = append(info.Capabilities, mesos.MasterInfo_Capability{Type: c})
		}
	}
	return info
}

// subscribe reads "framework [version [roles]]".
func (tr *transcript) subscribe(words []string) scheduler.Event {
	info, ev := mesos.FrameworkInfo{Roles: []string{"r"}}, scheduler.Subscribed{FrameworkID: words[0]}
	if len(words) > 1 {
		ev.Master = masterInfo(words[1])
	}
	if len(words) > 2 {
		info.Roles = strings.Split(words[2], ",")
	}
	call := tr.machine.Subscribe(info)
	tr.subscribed = fmt.Sprintf("(subscribed as %q, suppressed %v)\n", call.FrameworkID.GetValue(), call.Subscribe.SuppressedRoles)
	if only := tr.machine.OfferConstraints(); len(only) > 0 {
		tr.subscribed += "(constraints " + showConstraints(only) + ")\n"
	}
	return ev
}

func (tr *transcript) event(words []string) scheduler.Event {
	arg := func(i int) string {
		require.Greater(tr.t, len(words), i, "too few words in %q", words)
		return words[i]
	}
	switch words[0] {
	case "subscribed":
		return tr.subscribe(words[1:])
	case "disconnected":
		return scheduler.Disconnected{Reason: arg(1)}
	case "removed":
		return scheduler.Removed{}
	case "offered":
		var offers []mesos.Offer
		for _, word := range words[1:] {
			id, agent, _ := strings.Cut(word, "@")
			agent, role, _ := strings.Cut(agent, "/")
			o := offer(id, agent)
			if role != "" {
				o.AllocationInfo = &mesos.Resource_AllocationInfo{Role: &role}
			}
			offers = append(offers, o)
		}
		return scheduler.Offered{Offers: offers}
	case "rescinded":
		return scheduler.Rescinded{Offer: arg(1)}
	case "updated":
		return scheduler.Updated{Status: tr.status(words[1:])}
	case "operation": // operation id STATE [uuid]
		s := mesos.OperationStatus{
			OperationID: &mesos.OperationID{Value: arg(1)}, AgentID: &mesos.AgentID{Value: "a1"},
			State: mesos.OperationState(mesos.OperationState_value["OPERATION_"+arg(2)]),
		}
		if len(words) > 3 {
			s.UUID = &mesos.UUID{Value: []byte(words[3])}
		}
		return scheduler.OperationUpdated{Status: s}
	case "inverse-offered":
		from := time.Unix(3600, 0)
		return scheduler.InverseOffered{Offers: []mesos.InverseOffer{{
			OfferID: mesos.OfferID{Value: arg(1)}, AgentID: &mesos.AgentID{Value: arg(2)},
			Unavailability: mesos.Unavailability{Start: mesos.TimeInfo{Nanoseconds: from.UnixNano()}},
		}}}
	case "inverse-rescinded":
		return scheduler.InverseRescinded{Offer: arg(1)}
	case "job-progress":
		return scheduler.JobProgress{Name: arg(1), Data: []byte(arg(2))}
	case "agent-lost":
		return scheduler.AgentLost{Agent: arg(1)}
	case "executor-lost":
		return scheduler.ExecutorLost{Agent: arg(1), Executor: arg(2), Status: 9}
	case "messaged":
		return scheduler.Messaged{Agent: arg(1), Executor: arg(2), Data: []byte(arg(3))}
	case "command":
		return scheduler.Command{ID: 7, Value: arg(1)}
	case "job-done":
		return scheduler.JobDone{Name: arg(1)}
	case "tick":
		return scheduler.Tick{}
	}
	tr.t.Fatalf("unknown event %q", words)
	return nil
}

// status reads "task[@agent] STATE [uuid] [reconciliation] [healthy|unhealthy]".
func (tr *transcript) status(words []string) mesos.TaskStatus {
	id, agent, _ := strings.Cut(words[0], "@")
	value, ok := mesos.TaskState_value["TASK_"+words[1]]
	require.True(tr.t, ok, "state %q", words[1])
	s := status(id, agent, mesos.TaskState(value), "")
	for _, word := range words[2:] {
		switch word {
		case "reconciliation":
			s.Reason = mesos.REASON_RECONCILIATION.Enum()
		case "healthy", "unhealthy":
			healthy := word == "healthy"
			s.Healthy = &healthy
		default:
			s.UUID = []byte(word)
		}
	}
	return s
}

func (tr *transcript) handle(v scheduler.View, _ scheduler.Event) []scheduler.Action {
	tr.heard = true
	var actions []scheduler.Action
	for _, line := range tr.decision {
		if line == "show" {
			tr.shown = showView(v)
			continue
		}
		actions = append(actions, tr.action(v, strings.Fields(line)))
	}
	return actions
}

func (tr *transcript) action(v scheduler.View, words []string) scheduler.Action {
	duration := func(i int) time.Duration {
		if len(words) <= i {
			return 0
		}
		d, err := time.ParseDuration(words[i])
		require.NoError(tr.t, err)
		return d
	}
	ids := func(word string) (ids []mesos.OfferID) {
		for id := range strings.SplitSeq(word, ",") {
			ids = append(ids, mesos.OfferID{Value: id})
		}
		return ids
	}
	switch words[0] {
	case "accept": // accept offers agent tasks
		var op mesos.Offer_Operation_Launch
		for task := range strings.SplitSeq(words[3], ",") {
			op.TaskInfos = append(op.TaskInfos, mesos.TaskInfo{Name: task, TaskID: mesos.TaskID{Value: task}, AgentID: mesos.AgentID{Value: words[2]}})
		}
		return scheduler.Accept{Offers: ids(words[1]), Operations: []mesos.Offer_Operation{{Type: mesos.Offer_Operation_LAUNCH, Launch: &op}}}
	case "reserve": // reserve offer id
		return scheduler.Accept{Offers: ids(words[1]), Operations: []mesos.Offer_Operation{{
			Type: mesos.Offer_Operation_RESERVE, ID: &mesos.OperationID{Value: words[2]},
			Reserve: &mesos.Offer_Operation_Reserve{},
		}}}
	case "decline":
		return scheduler.Decline{Offers: ids(words[1]), Refuse: duration(2)}
	case "hold":
		return scheduler.Hold{Offers: ids(words[1]), Until: v.Now().Add(duration(2))}
	case "want": // want key [role [rack,rack]]
		return wanted(words[1:])
	case "want-nothing": // want-nothing [role]
		w := wanted(append([]string{""}, words[1:]...))
		w.Offers = false
		return w
	case "register": // register roles
		return scheduler.Register{Framework: mesos.FrameworkInfo{Roles: strings.Split(words[1], ",")}}
	case "kill":
		return scheduler.Kill{Task: words[1], Grace: duration(2), Reason: "test"}
	case "yield":
		return scheduler.Yield{Offers: ids(words[1]), Agree: true}
	case "stay":
		return scheduler.Yield{Offers: ids(words[1]), Refuse: duration(2)}
	case "shutdown":
		return scheduler.Shutdown{Agent: words[1], Executor: words[2]}
	case "cancel":
		return scheduler.Cancel{Job: words[1]}
	case "message":
		return scheduler.Message{Agent: words[1], Executor: words[2], Data: []byte(words[3])}
	case "remember":
		return scheduler.Remember{Key: words[1], Value: []byte(words[2])}
	case "unremember":
		return scheduler.Remember{Key: words[1]}
	case "forget":
		return scheduler.Forget{Task: words[1]}
	case "start":
		return scheduler.Start{Job: scheduler.Job{Name: words[1]}}
	case "answer":
		return scheduler.Answer{Command: 7, Value: words[1]}
	case "note":
		return scheduler.Note{Text: words[1]}
	case "wake":
		return scheduler.WakeAt{Time: v.Now().Add(duration(1))}
	case "teardown":
		return scheduler.Teardown{}
	}
	tr.t.Fatalf("unknown action %q", words)
	return nil
}

func wanted(words []string) scheduler.Want {
	w := scheduler.Want{Offers: true, Key: words[0]}
	if len(words) > 1 {
		w.Role = words[1]
	}
	if len(words) > 2 {
		for rack := range strings.SplitSeq(words[2], ",") {
			w.Only = append(w.Only, constraints.Group{{
				Selector: constraints.Selector{Name: "rack"}, Predicate: constraints.TextMatches{Regex: rack},
			}})
		}
	}
	return w
}

func showView(v scheduler.View) string {
	var out strings.Builder
	fmt.Fprintf(&out, "framework %q connected %v reconciled %v\n", v.FrameworkID(), v.Connected(), v.Reconciled())
	for o := range v.Offers() {
		fmt.Fprintf(&out, "offer %s of %s\n", o.ID.Value, o.AgentID.Value)
	}
	for o := range v.InverseOffers() {
		fmt.Fprintf(&out, "asked back: %s of %s\n", o.OfferID.Value, o.AgentID.Value)
	}
	for t := range v.Tasks() {
		fmt.Fprintf(&out, "task %s %s killing %v\n", t.Info.TaskID.Value, t.Status.GetState(), t.Killing)
	}
	for op := range v.Operations() {
		fmt.Fprintf(&out, "operation %s %s on %s: %s\n", op.ID, op.Type, op.Agent, op.Status.State)
	}
	for key, value := range v.Records("") {
		fmt.Fprintf(&out, "record %s %s\n", key, value)
	}
	return out.String()
}

// showRecord shows a record without what is encoded in it.
func showRecord(r state.Record) string {
	switch {
	case r.Value == nil:
		return r.Key + " nothing"
	case strings.HasPrefix(r.Key, "task/"), strings.HasPrefix(r.Key, "status/"), strings.HasPrefix(r.Key, "operation/"):
		return fmt.Sprintf("%s (%d bytes)", r.Key, len(r.Value))
	}
	return fmt.Sprintf("%s %s", r.Key, r.Value)
}

func showConstraints(c constraints.OfferConstraints) string {
	text, err := c.MarshalJSON()
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func showCall(call *sched.Call) string {
	words := []string{call.Type.String()}
	add := func(format string, args ...any) { words = append(words, fmt.Sprintf(format, args...)) }
	refuse := func(f *mesos.Filters) { add("refuse=%gs", f.GetRefuseSeconds()) }
	offers := func(ids []mesos.OfferID) {
		for _, id := range ids {
			add("%s", id.Value)
		}
	}
	switch call.Type {
	case sched.Call_ACCEPT:
		offers(call.Accept.OfferIDs)
		for _, op := range call.Accept.Operations {
			if op.ID != nil {
				add("%s=%s", op.Type, op.ID.Value)
			}
			for _, info := range op.GetLaunch().GetTaskInfos() {
				add("launch=%s", info.TaskID.Value)
			}
		}
		refuse(call.Accept.Filters)
	case sched.Call_DECLINE:
		offers(call.Decline.OfferIDs)
		refuse(call.Decline.Filters)
	case sched.Call_KILL:
		add("%s agent=%q", call.Kill.TaskID.Value, call.Kill.AgentID.GetValue())
		if p := call.Kill.KillPolicy; p != nil {
			add("grace=%v", time.Duration(p.GracePeriod.Nanoseconds))
		}
	case sched.Call_ACKNOWLEDGE:
		add("%s agent=%q uuid=%s", call.Acknowledge.TaskID.Value, call.Acknowledge.AgentID.Value, call.Acknowledge.UUID)
	case sched.Call_ACKNOWLEDGE_OPERATION_STATUS:
		add("%s uuid=%s", call.AcknowledgeOperationStatus.OperationID.Value, call.AcknowledgeOperationStatus.UUID)
	case sched.Call_RECONCILE:
		for _, q := range call.Reconcile.Tasks {
			add("%s@%s", q.TaskID.Value, q.AgentID.GetValue())
		}
	case sched.Call_ACCEPT_INVERSE_OFFERS:
		offers(call.AcceptInverseOffers.InverseOfferIDs)
	case sched.Call_DECLINE_INVERSE_OFFERS:
		offers(call.DeclineInverseOffers.InverseOfferIDs)
		refuse(call.DeclineInverseOffers.Filters)
	case sched.Call_SHUTDOWN:
		add("%s/%s", call.Shutdown.AgentID.Value, call.Shutdown.ExecutorID.Value)
	case sched.Call_RECONCILE_OPERATIONS:
		for _, op := range call.ReconcileOperations.Operations {
			add("%s@%s", op.OperationID.Value, op.AgentID.GetValue())
		}
	case sched.Call_SUPPRESS:
		words = append(words, call.Suppress.Roles...)
	case sched.Call_REVIVE:
		words = append(words, call.Revive.Roles...)
	case sched.Call_UPDATE_FRAMEWORK:
		add("roles=%v suppressed=%v", call.UpdateFramework.FrameworkInfo.Roles, call.UpdateFramework.SuppressedRoles)
	case sched.Call_MESSAGE:
		add("%s/%s %s", call.Message.AgentID.Value, call.Message.ExecutorID.Value, call.Message.Data)
	}
	return strings.Join(words, " ")
}
