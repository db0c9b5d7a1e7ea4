package frameworks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/mesokit/mesokit/scheduler"
)

// memberRecord is what the store has of a service beside its own records.
type memberRecord struct {
	// Options are those of a service that an operator added.
	Options json.RawMessage `json:"options,omitempty"`
	// Declared: a program declared it.
	Declared bool `json:"declared,omitempty"`
	// Ended: a declared service was uninstalled; it is not begun again until
	// an operator adds it.
	Ended bool `json:"ended,omitempty"`
	// Left is what one that has ended could not free.
	Left []LeftBehind `json:"left,omitempty"`
}

// prefixServices is no service's own: their names have no underscore.
const prefixServices = "_services/"

// addition is a service made of a record.
type addition struct {
	record  []byte
	service *Service // nil: it has ended
	added   bool
}

// reservedRole is the role that the record of a service has.
type reservedRole struct {
	record []byte
	role   string
}

// make makes the service of a record, or finds it made.
func (s *Services) make(name string, record []byte) *addition {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.made[name]; known != nil && bytes.Equal(known.record, record) {
		return known
	}
	made := &addition{record: record}
	made.service, made.added = s.fromRecord(name, record)
	if s.made == nil {
		s.made = map[string]*addition{}
	}
	s.made[name] = made
	return made
}

// fromRecord makes the service of a record: one that cannot be made has only its
// name, and why. There is none where it has ended.
func (s *Services) fromRecord(name string, record []byte) (made *Service, added bool) {
	r, err := decode[memberRecord](record)
	switch {
	case err != nil:
		return &Service{Name: name, unmade: fmt.Errorf("record of service %s: %w", name, err)}, true
	case r.Ended:
		return nil, false
	case r.Declared:
		return &Service{Name: name, unmade: errUndeclared}, false
	}
	service, err := s.fromOptions(name, r.Options)
	if err != nil {
		service = &Service{Name: name, Binary: s.Binary, Options: r.Options, unmade: err, Revise: s.revise(name)}
	}
	return service, true
}

// revise makes an added service of other options.
func (s *Services) revise(name string) func(json.RawMessage) (*Service, error) {
	return func(options json.RawMessage) (*Service, error) {
		if s.New == nil {
			return nil, fmt.Errorf("service %s: this program adds none", name)
		}
		return s.New(name, options)
	}
}

func (s *Services) fromOptions(name string, options json.RawMessage) (*Service, error) {
	made, err := s.revise(name)(options)
	if err != nil {
		return nil, fmt.Errorf("service %s: %w", name, err)
	}
	service := *made // what New returned stays as it is
	if service.Name != name {
		return nil, fmt.Errorf("service %s: Service.Name: %q: wants the name that it was added by", name, service.Name)
	}
	if service.Binary == (Binary{}) {
		service.Binary = s.Binary
	}
	if service.Revise == nil { // so that an Update can change it
		service.Options, service.Revise = options, s.revise(name)
	}
	if len(s.Declared) > 0 && service.Principal != s.Declared[0].Principal {
		return nil, fmt.Errorf("service %s: Service.Principal: %q: wants that of the framework, %q", name, service.Principal, s.Declared[0].Principal)
	}
	return &service, service.Validate()
}

// member is a service in a decision.
type member struct {
	*Service
	name string
	// reserves is the role of its reservations.
	reserves string
	added    bool
}

// members are the services that there are, in the order of declaration and
// then of their names.
func (s *Services) members(v scheduler.View) []member {
	var out, others []member
	ended := map[string]bool{}
	for key, record := range v.Records(prefixServices) {
		name := strings.TrimPrefix(key, prefixServices)
		made := s.make(name, record)
		switch {
		case s.declared(name) != nil:
			ended[name] = made.service == nil
		case made.service != nil:
			others = append(others, s.member(v, made.service, made.added))
		}
	}
	for _, service := range s.Declared {
		if !ended[service.Name] {
			out = append(out, s.member(v, service, false))
		}
	}
	return append(out, others...)
}

func (s *Services) declared(name string) *Service {
	i := slices.IndexFunc(s.Declared, func(d *Service) bool { return d.Name == name })
	if i < 0 {
		return nil
	}
	return s.Declared[i]
}

// member finds the role of a service: that of its reservations, whatever the
// program declares now.
func (s *Services) member(v scheduler.View, service *Service, added bool) member {
	out := member{Service: service, name: service.Name, reserves: service.role(), added: added}
	record, _ := v.Record(service.Name + "/service")
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.roles[service.Name]
	if !sameMemory(known.record, record) {
		known = reservedRole{record: record}
		if r, err := decode[serviceRecord](record); err == nil {
			known.role = r.Role
		}
		if s.roles == nil {
			s.roles = map[string]reservedRole{}
		}
		s.roles[service.Name] = known
	}
	if known.role != "" {
		out.reserves = known.role
	}
	return out
}

// unmarked are services that have records of their own, and no mark that tells of
// them: those that the program declares, of which none has been made yet, and
// those that another declared before marks were made. The actions make them.
func (s *Services) unmarked(v scheduler.View) []scheduler.Action {
	names := map[string]bool{}
	for _, service := range s.Declared {
		names[service.Name] = true
	}
	for key := range v.Records("") {
		if name, ok := strings.CutSuffix(key, "/service"); ok && !strings.Contains(name, "/") {
			names[name] = true
		}
	}
	mark, _ := encode(memberRecord{Declared: true}) // has no field that can fail
	var out []scheduler.Action
	for _, name := range sortedKeys(names) {
		if _, known := v.Record(prefixServices + name); !known {
			out = append(out, scheduler.Remember{Key: prefixServices + name, Value: mark})
		}
	}
	return out
}

// add begins the service that an operator adds. There is none where it is there
// already.
func (s *Services) add(v scheduler.View, all []member, c AddService) (m member, begun []scheduler.Action, err error) {
	if !name.MatchString(c.Name) {
		return m, nil, fmt.Errorf("service %q: %w: wants lower case letters, digits and hyphens, such as \"kafka\"", c.Name, ErrRefused)
	}
	record := memberRecord{Declared: true}
	declared := s.declared(c.Name)
	there := slices.ContainsFunc(all, func(other member) bool { return other.name == c.Name })
	switch {
	case declared == nil:
		record = memberRecord{Options: c.Options}
		if len(c.Options) == 0 {
			record.Options = json.RawMessage("{}")
		}
	case there:
		return m, nil, fmt.Errorf("service %s: %w: the program declares it already", c.Name, ErrRefused)
	}
	mark := scheduler.Remember{Key: prefixServices + c.Name}
	if mark.Value, err = encode(record); err != nil {
		return m, nil, fmt.Errorf("service %s: options: %w", c.Name, err)
	}
	if known, _ := v.Record(mark.Key); there {
		if !bytes.Equal(known, mark.Value) {
			err = fmt.Errorf("service %s: %w: it is there already, with other options", c.Name, ErrRefused)
		}
		return m, nil, err
	}
	service := declared
	if declared == nil {
		if service, err = s.fromOptions(c.Name, record.Options); err != nil {
			return m, nil, fmt.Errorf("%w: %w", ErrRefused, err)
		}
	}
	for _, other := range all {
		if other.reserves == service.role() {
			return m, nil, fmt.Errorf("service %s: %w: Role: %q: service %s has it", c.Name, ErrRefused, service.role(), other.name)
		}
	}
	if declared == nil {
		service = s.make(c.Name, mark.Value).service // for its jobs
	}
	m = s.member(v, service, declared == nil)
	var first scheduler.Event = scheduler.Tick{}
	if declared != nil && len(c.Options) > 0 {
		first = scheduler.Command{Value: Update{Options: c.Options}}
	}
	for _, action := range s.ask(v, first, m, append(all, m)) {
		if answer, ok := action.(scheduler.Answer); !ok {
			begun = append(begun, action)
		} else if answer.Err != nil {
			return member{}, nil, fmt.Errorf("service %s: %w", c.Name, answer.Err)
		}
	}
	return m, append([]scheduler.Action{mark}, begun...), nil
}
