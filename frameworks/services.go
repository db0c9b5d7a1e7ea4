package frameworks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/go-multierror"
	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/scheduler"
)

// Services runs several services in one scheduler, as one framework of several
// roles: each service has a role of its own, whose offers nobody else sees. It
// is a scheduler.Handler; events go to the service that they concern, so that
// a decision costs what its service costs, however many there are.
//
// Declared services are there as long as the program declares them; one that it
// declares no more is held: its servers run on, and it waits to be uninstalled,
// or declared again. With New, operators add others while it runs, each from
// options. Each is gone when its own uninstall has freed what it had.
type Services struct {
	Declared []*Service
	// New makes a service of the options with which an operator adds it; the
	// service has the name given. It is pure: it is called again after each
	// start of the scheduler. Nil: none can be added.
	New func(name string, options json.RawMessage) (*Service, error)
	// Binary is that of services that New makes and that name none.
	Binary Binary

	// made holds the services that were made of records. It only saves making
	// them again, and is shared with jobs.
	mu   sync.Mutex
	made map[string]*addition
	// roles are those of the services' reservations, by service.
	roles map[string]reservedRole
}

// The commands for several services: values for a scheduler.Mailbox, each
// answered with an Overview. Any other command goes to one service by
// ToService.
type (
	// ListServices changes nothing.
	ListServices struct{}
	// AddService has New make a service of options. One that is there already
	// is left as it is, where its options are the same. A declared one that was
	// uninstalled begins again; options of its own are those of its program,
	// where there are none.
	AddService struct {
		Name    string
		Options json.RawMessage
	}
	// ToService is a command for one service, which answers it.
	ToService struct {
		Service string
		Command any
	}
)

// Overview is the services as they stand.
type Overview struct {
	FrameworkID string `json:"framework_id,omitempty"`
	Connected   bool   `json:"connected"`
	// Reconciled: the master has answered for every task since the last
	// subscription.
	Reconciled bool `json:"reconciled"`
	// Services are in the order of declaration, and then of their names.
	Services []ServiceSummary `json:"services"`
	// Left is what services that have ended could not free, by service, until one
	// of that name begins again.
	Left map[string][]LeftBehind `json:"left,omitempty"`
}

// ServiceSummary is one of several services as an operator sees it.
type ServiceSummary struct {
	Service string `json:"service"`
	Role    string `json:"role,omitempty"`
	Nodes   int    `json:"nodes"`
	Ready   int    `json:"ready"`
	// Added: an operator added it; else the program declares it.
	Added bool `json:"added,omitempty"`
	// Trouble is why it is held (Status.Held): what it had runs on meanwhile.
	Trouble string `json:"trouble,omitempty"`
}

// Validate says what of the declarations cannot be.
func (s *Services) Validate() error {
	var errs *multierror.Error
	roles := map[string]string{}
	names := map[string]bool{}
	for i, service := range s.Declared {
		errs = multierror.Append(errs, service.Validate())
		if names[service.Name] {
			errs = multierror.Append(errs, fmt.Errorf("Services.Declared[%d].Name: %q: wants a name that no other service has", i, service.Name))
		}
		if other := roles[service.role()]; other != "" {
			errs = multierror.Append(errs, fmt.Errorf("Services.Declared[%d].Role: %q: wants a role of its own, and service %s has it", i, service.role(), other))
		}
		if service.Principal != s.Declared[0].Principal {
			errs = multierror.Append(errs, fmt.Errorf("Services.Declared[%d].Principal: %q: wants that of the first service, %q: they are one framework", i, service.Principal, s.Declared[0].Principal))
		}
		names[service.Name], roles[service.role()] = true, service.Name
	}
	if len(s.Declared) == 0 && s.New == nil {
		errs = multierror.Append(errs, errors.New("Services.Declared is empty and Services.New is nil: name what is to run"))
	}
	return errs.ErrorOrNil()
}

// Framework describes the services to the master, as far as they are declared.
func (s *Services) Framework() mesos.FrameworkInfo {
	if len(s.Declared) == 0 {
		return mesos.FrameworkInfo{}
	}
	info := s.Declared[0].Framework()
	info.Roles = nil
	for _, service := range s.Declared {
		info.Roles = append(info.Roles, service.role())
	}
	return info
}

// Work implements scheduler.Worker: a job is its service's own.
func (s *Services) Work(ctx context.Context, job scheduler.Job) ([]byte, error) {
	name := jobOwner(job.Name)
	for _, service := range s.Declared {
		if service.Name == name {
			return service.Work(ctx, job)
		}
	}
	s.mu.Lock()
	made := s.made[name]
	s.mu.Unlock()
	if made == nil || made.service == nil {
		return nil, fmt.Errorf("job %s: there is no service %q", job.Name, name)
	}
	return made.service.Work(ctx, job)
}

// jobOwner is the service in a job's name, "<kind>/<service>.<whatever>".
func jobOwner(job string) string {
	_, rest, _ := strings.Cut(job, "/")
	return taskOwner(rest)
}

// taskOwner is the service in a task's id, "<service>.<node>.<number>".
func taskOwner(task string) string {
	service, _, _ := strings.Cut(task, ".")
	return service
}

// Handle implements scheduler.Handler.
func (s *Services) Handle(v scheduler.View, ev scheduler.Event) []scheduler.Action {
	all := s.members(v)
	if c, ok := ev.(scheduler.Command); ok {
		return s.command(v, all, c)
	}
	var out []scheduler.Action
	_, subscribed := ev.(scheduler.Subscribed)
	if subscribed || !v.Connected() {
		out = append(s.unmarked(v), register(all)) // also before the first subscription
	}
	out = append(out, stray(all, ev)...)
	for _, m := range all {
		if concerns(v, ev, m) {
			out = append(out, s.ask(v, ev, m, all)...)
		}
	}
	return out
}

// concerns says whether a service has to hear of an event.
func concerns(v scheduler.View, ev scheduler.Event, m member) bool {
	switch ev := ev.(type) {
	case scheduler.Updated:
		return taskOwner(ev.Status.TaskID.Value) == m.name
	case scheduler.Messaged:
		return taskOwner(ev.Executor) == m.name
	case scheduler.ExecutorLost:
		return taskOwner(ev.Executor) == m.name
	case scheduler.JobDone:
		return jobOwner(ev.Name) == m.name
	case scheduler.JobProgress:
		return jobOwner(ev.Name) == m.name
	case scheduler.Offered:
		return slices.ContainsFunc(ev.Offers, func(o mesos.Offer) bool { return offered(&o, m.reserves) })
	case scheduler.Rescinded:
		return false
	case scheduler.Tick:
		return v.Due(m.name) || !v.Connected()
	}
	return true
}

// ask has a service decide, and makes its actions those of one among several.
func (s *Services) ask(v scheduler.View, ev scheduler.Event, m member, all []member) []scheduler.Action {
	actions := m.Service.Handle(v, ev)
	for i, action := range actions {
		switch a := action.(type) {
		case scheduler.WakeAt:
			a.Key = m.name
			actions[i] = a
		case scheduler.Note:
			a.Attrs = append([]slog.Attr{slog.String("service", m.name)}, a.Attrs...)
			actions[i] = a
		case scheduler.Teardown:
			return s.forget(v, m, all, actions)
		}
	}
	return slices.DeleteFunc(actions, func(a scheduler.Action) bool {
		_, alone := a.(scheduler.Register)
		return alone // one for all is made above
	})
}

// forget ends a service that has freed all it had: where it is alone that is
// the end of the framework, here only of its records and its role. What is kept
// is how far its nodes have counted, in case it begins again.
func (s *Services) forget(v scheduler.View, m member, all []member, actions []scheduler.Action) []scheduler.Action {
	var out []scheduler.Action
	for _, action := range actions {
		switch action.(type) {
		case scheduler.Remember, scheduler.Teardown, scheduler.WakeAt, scheduler.Want:
		default:
			out = append(out, action)
		}
	}
	for key, value := range v.Records(m.Service.Name + "/") {
		kept := scheduler.Remember{Key: key}
		if strings.HasPrefix(key, m.Service.Name+"/pod/") {
			if pod, err := decode[podRecord](value); err == nil {
				kept.Value, _ = encode(podRecord{Ended: true, Gone: pod.Gone}) // has no field that can fail
			}
		}
		out = append(out, kept)
	}
	mark := scheduler.Remember{Key: prefixServices + m.name}
	if left := leftBehind(m, actions); !m.added || len(left) > 0 {
		mark.Value, _ = encode(memberRecord{Ended: true, Left: left}) // has no field that can fail
	}
	rest := slices.DeleteFunc(slices.Clone(all), func(other member) bool { return other.name == m.name })
	return append(out, mark,
		scheduler.Want{Role: m.reserves}, register(rest),
		scheduler.Note{Text: "service ended", Attrs: []slog.Attr{slog.String("service", m.name)}},
	)
}

// leftBehind is what a service could not free, as its last decision has it.
func leftBehind(m member, actions []scheduler.Action) []LeftBehind {
	for _, action := range actions {
		if kept, ok := action.(scheduler.Remember); ok && kept.Key == m.name+"/service" {
			if record, err := decode[serviceRecord](kept.Value); err == nil {
				return record.Uninstall.Left
			}
		}
	}
	return nil
}

// stray deals with a task of a service that has ended: its agent was away.
func stray(all []member, ev scheduler.Event) []scheduler.Action {
	updated, ok := ev.(scheduler.Updated)
	if !ok {
		return nil
	}
	task := updated.Status.TaskID.Value
	if slices.ContainsFunc(all, func(m member) bool { return m.name == taskOwner(task) }) {
		return nil
	}
	if scheduler.Terminal(updated.Status.GetState()) {
		return []scheduler.Action{scheduler.Forget{Task: task}}
	}
	return []scheduler.Action{scheduler.Kill{Task: task, Reason: "its service has ended"}}
}

// register tells the master of the services' roles.
func register(all []member) scheduler.Action {
	var info mesos.FrameworkInfo
	for _, m := range all {
		info.Roles = append(info.Roles, m.reserves)
	}
	return scheduler.Register{Framework: info}
}

func (s *Services) command(v scheduler.View, all []member, c scheduler.Command) []scheduler.Action {
	answer := func(err error) []scheduler.Action {
		return []scheduler.Action{scheduler.Answer{Command: c.ID, Value: overview(v, all), Err: err}}
	}
	switch wish := c.Value.(type) {
	case ListServices:
		return answer(nil)
	case AddService:
		m, actions, err := s.add(v, all, wish)
		if err != nil || m.Service == nil {
			return answer(err)
		}
		all = append(all, m)
		return append(append(actions, register(all)), answer(nil)...)
	case ToService:
		i := slices.IndexFunc(all, func(m member) bool { return m.name == wish.Service })
		if i < 0 {
			return answer(fmt.Errorf("service %q: %w; there are %s", wish.Service, ErrUnknown, names(all)))
		}
		return s.ask(v, scheduler.Command{ID: c.ID, Value: wish.Command}, all[i], all)
	}
	return answer(fmt.Errorf("command %T: wants ToService, with the service that it is for", c.Value))
}

func names(all []member) string {
	var out []string
	for _, m := range all {
		out = append(out, m.name)
	}
	return strings.Join(out, ", ")
}

func overview(v scheduler.View, all []member) Overview {
	out := Overview{
		FrameworkID: v.FrameworkID(), Connected: v.Connected(), Reconciled: v.Reconciled(),
		Services: []ServiceSummary{},
	}
	for _, m := range all {
		out.Services = append(out.Services, m.summary(v))
	}
	for key, record := range v.Records(prefixServices) {
		if r, err := decode[memberRecord](record); err == nil && len(r.Left) > 0 {
			if out.Left == nil {
				out.Left = map[string][]LeftBehind{}
			}
			out.Left[strings.TrimPrefix(key, prefixServices)] = r.Left
		}
	}
	return out
}

func (m member) summary(v scheduler.View) ServiceSummary {
	out := ServiceSummary{Service: m.name, Role: m.reserves, Added: m.added}
	d, err := m.open(v, nil)
	if err != nil {
		out.Trouble = err.Error()
		return out
	}
	out.Nodes, out.Trouble = len(d.nodes), d.heldFor
	for _, n := range d.nodes {
		if d.phase(n) == Ready {
			out.Ready++
		}
	}
	return out
}

// offered says whether an offer is for a role. One that names none is for the
// only one that the framework has.
func offered(o *mesos.Offer, role string) bool {
	is := o.AllocationInfo.GetRole()
	return is == "" || is == role
}
