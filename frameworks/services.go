package frameworks

import (
	"bytes"
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
// Declared services are there as long as the program declares them. With New,
// operators add others while it runs, each from options, and each is gone when
// its own uninstall has freed what it had.
type Services struct {
	Declared []*Service
	// New makes a service of the options with which an operator adds it; the
	// service has the name given. It is pure: it is called again after each
	// start of the scheduler. Nil: none can be added.
	New func(name string, options json.RawMessage) (*Service, error)
	// Binary is that of services that New makes and that name none.
	Binary Binary

	// added holds the services that were made of records. It only saves making
	// them again, and is shared with jobs.
	mu    sync.Mutex
	added map[string]*addition
}

// addition is a service made of a record, or why it cannot be made.
type addition struct {
	record  []byte
	service *Service
	err     error
}

// The commands for several services: values for a scheduler.Mailbox, each
// answered with an Overview. Any other command goes to one service by
// ToService.
type (
	// ListServices changes nothing.
	ListServices struct{}
	// AddService has New make a service of options. One that is there already
	// is left as it is, where its options are the same.
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
}

// ServiceSummary is one of several services as an operator sees it.
type ServiceSummary struct {
	Service string `json:"service"`
	Role    string `json:"role,omitempty"`
	Nodes   int    `json:"nodes"`
	Ready   int    `json:"ready"`
	// Added: an operator added it; else the program declares it.
	Added bool `json:"added,omitempty"`
	// Trouble is why it is not looked after: what it had runs on meanwhile.
	Trouble string `json:"trouble,omitempty"`
}

// memberRecord is an added service, or a declared one that has ended.
type memberRecord struct {
	Options json.RawMessage `json:"options,omitempty"`
	// Ended: a declared service was uninstalled; it is not begun again until
	// an operator adds it.
	Ended bool `json:"ended,omitempty"`
}

// prefixServices is no service's own: their names have no underscore.
const prefixServices = "_services/"

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
	added := s.added[name]
	s.mu.Unlock()
	if added == nil || added.service == nil {
		return nil, fmt.Errorf("job %s: there is no service %q", job.Name, name)
	}
	return added.service.Work(ctx, job)
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

// make makes the service of a record, or finds it made.
func (s *Services) make(name string, record []byte) *addition {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.added[name]; known != nil && bytes.Equal(known.record, record) {
		return known
	}
	made := &addition{record: record}
	made.service, made.err = s.fromRecord(name, record)
	if s.added == nil {
		s.added = map[string]*addition{}
	}
	s.added[name] = made
	return made
}

func (s *Services) fromRecord(name string, record []byte) (*Service, error) {
	r, err := decode[memberRecord](record)
	if err != nil {
		return nil, fmt.Errorf("record of service %s: %w", name, err)
	}
	return s.fromOptions(name, r.Options)
}

func (s *Services) fromOptions(name string, options json.RawMessage) (*Service, error) {
	if s.New == nil {
		return nil, fmt.Errorf("service %s: this program adds none", name)
	}
	service, err := s.New(name, options)
	switch {
	case err != nil:
		return nil, fmt.Errorf("service %s: %w", name, err)
	case service.Name != name:
		return nil, fmt.Errorf("service %s: Service.Name: %q: wants the name that it was added by", name, service.Name)
	}
	if service.Binary == (Binary{}) {
		service.Binary = s.Binary
	}
	if service.Revise == nil { // so that an Update can change it
		service.Options = options
		service.Revise = func(options json.RawMessage) (*Service, error) { return s.New(name, options) }
	}
	if err := service.Validate(); err != nil {
		return nil, err
	}
	return service, nil
}

// member is a service in a decision.
type member struct {
	*Service
	name  string
	added bool
	err   error // why it is not looked after; then it has no Service
}

// members are the services that there are, in the order of declaration and
// then of their names.
func (s *Services) members(v scheduler.View) []member {
	var out []member
	ended := map[string]bool{}
	var added []member
	for key, record := range v.Records(prefixServices) {
		name := strings.TrimPrefix(key, prefixServices)
		if slices.ContainsFunc(s.Declared, func(d *Service) bool { return d.Name == name }) {
			r, err := decode[memberRecord](record)
			ended[name] = err == nil && r.Ended
			continue
		}
		made := s.make(name, record)
		added = append(added, member{Service: made.service, name: name, added: true, err: made.err})
	}
	for _, service := range s.Declared {
		if !ended[service.Name] {
			out = append(out, member{Service: service, name: service.Name})
		}
	}
	return append(out, added...)
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
		out = append(out, register(all)) // also before the first subscription
	}
	out = append(out, stray(all, ev)...)
	for _, m := range all {
		if m.Service != nil && concerns(v, ev, m) {
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
		return slices.ContainsFunc(ev.Offers, func(o mesos.Offer) bool { return m.offered(&o) })
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
	return actions
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
	if !m.added {
		mark.Value, _ = encode(memberRecord{Ended: true})
	}
	rest := slices.DeleteFunc(slices.Clone(all), func(other member) bool { return other.name == m.name })
	return append(out, mark,
		scheduler.Want{Role: m.role()}, register(rest),
		scheduler.Note{Text: "service ended", Attrs: []slog.Attr{slog.String("service", m.name)}},
	)
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
		if m.Service != nil {
			info.Roles = append(info.Roles, m.role())
		}
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
		m, mark, err := s.add(v, all, wish)
		if err != nil || m.Service == nil {
			return answer(err)
		}
		all = append(all, m)
		begun := append([]scheduler.Action{mark, register(all)}, s.ask(v, scheduler.Tick{}, m, all)...)
		return append(begun, answer(nil)...)
	case ToService:
		i := slices.IndexFunc(all, func(m member) bool { return m.name == wish.Service })
		if i < 0 {
			return answer(fmt.Errorf("service %q: %w; there are %s", wish.Service, ErrUnknown, names(all)))
		}
		if all[i].Service == nil {
			return answer(fmt.Errorf("service %s: %w: %w", wish.Service, ErrRefused, all[i].err))
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

// add makes the service that an operator adds, and the record of it. There is
// none where it is there already.
func (s *Services) add(v scheduler.View, all []member, c AddService) (m member, mark scheduler.Remember, err error) {
	mark.Key = prefixServices + c.Name
	if !name.MatchString(c.Name) {
		return m, mark, fmt.Errorf("service %q: %w: wants lower case letters, digits and hyphens, such as \"kafka\"", c.Name, ErrRefused)
	}
	if i := slices.IndexFunc(s.Declared, func(d *Service) bool { return d.Name == c.Name }); i >= 0 {
		if slices.ContainsFunc(all, func(other member) bool { return other.name == c.Name }) {
			return m, mark, fmt.Errorf("service %s: %w: the program declares it already", c.Name, ErrRefused)
		}
		return member{Service: s.Declared[i], name: c.Name}, mark, nil // it had ended
	}
	options := c.Options
	if len(options) == 0 {
		options = json.RawMessage("{}")
	}
	if mark.Value, err = encode(memberRecord{Options: options}); err != nil {
		return m, mark, fmt.Errorf("service %s: options: %w", c.Name, err)
	}
	if known, ok := v.Record(mark.Key); ok {
		if bytes.Equal(known, mark.Value) {
			return m, mark, nil
		}
		return m, mark, fmt.Errorf("service %s: %w: it is there already, with other options", c.Name, ErrRefused)
	}
	service, err := s.fromOptions(c.Name, options)
	if err != nil {
		return m, mark, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	for _, other := range all {
		if other.Service != nil && other.role() == service.role() {
			return m, mark, fmt.Errorf("service %s: %w: Role: %q: service %s has it", c.Name, ErrRefused, service.role(), other.name)
		}
	}
	made := s.make(c.Name, mark.Value) // for its jobs
	return member{Service: made.service, name: c.Name, added: true}, mark, made.err
}

func overview(v scheduler.View, all []member) Overview {
	out := Overview{
		FrameworkID: v.FrameworkID(), Connected: v.Connected(), Reconciled: v.Reconciled(),
		Services: []ServiceSummary{},
	}
	for _, m := range all {
		out.Services = append(out.Services, m.summary(v))
	}
	return out
}

func (m member) summary(v scheduler.View) ServiceSummary {
	out := ServiceSummary{Service: m.name, Added: m.added}
	if m.Service == nil {
		out.Trouble = m.err.Error()
		return out
	}
	out.Role = m.role()
	l, err := m.open(v, m.memory())
	if err != nil {
		out.Trouble = err.Error()
		return out
	}
	out.Nodes = len(l.nodes)
	d := &decision{Service: m.Service, ledger: l, now: v.Now()}
	for _, n := range l.nodes {
		if d.phase(n) == Ready {
			out.Ready++
		}
	}
	return out
}

// offered says whether an offer is for this service's role. One that names no
// role is for the only one that the framework has.
func (s *Service) offered(o *mesos.Offer) bool {
	role := o.AllocationInfo.GetRole()
	return role == "" || role == s.role()
}
