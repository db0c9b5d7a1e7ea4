package constraints

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// OfferConstraints are what Mesos 1.11 and later take in SUBSCRIBE and
// UPDATE_FRAMEWORK as offer_constraints, which mesos-go does not have: by role
// the alternatives of which an agent has to pass one to be offered. A role
// without alternatives is not constrained.
type OfferConstraints map[string][]Group

// Group are constraints that an agent has to pass all.
type Group []AttributeConstraint

// AttributeConstraint is a predicate on an attribute or pseudo-attribute.
type AttributeConstraint struct {
	Selector  Selector
	Predicate Predicate
}

// Selector names an attribute, or else a pseudo-attribute.
type Selector struct {
	Name   string
	Pseudo Pseudo
}

// Pseudo is a property of the agent that a master treats as an attribute.
type Pseudo uint8

// The numbers are those of
// AttributeConstraint.Selector.PseudoattributeType in Mesos's scheduler.proto.
const (
	PseudoHostname Pseudo = 1
	PseudoRegion   Pseudo = 2
	PseudoZone     Pseudo = 3
)

var pseudoNames = [...]string{PseudoHostname: "HOSTNAME", PseudoRegion: "REGION", PseudoZone: "ZONE"}

// Predicate is what a master tests: Exists, NotExists, TextEquals,
// TextNotEquals, TextMatches or TextNotMatches. The first attribute of the name
// counts. The text predicates are true of attributes that are not texts; on an
// agent without the attribute the negative ones are true and the others not.
type Predicate interface {
	// field is the predicate's number and JSON name in scheduler.proto.
	field() (number byte, name string)
	// text is the parameter with its JSON name; both empty if there is none.
	text() (name, value string)
}

type (
	// Exists is true if the agent has the attribute.
	Exists struct{}
	// NotExists is true if it has not.
	NotExists struct{}
	// TextEquals is true of exactly this text.
	TextEquals struct{ Value string }
	// TextNotEquals is true of any other text.
	TextNotEquals struct{ Value string }
	// TextMatches is true if the regular expression (RE2) matches all of the
	// text.
	TextMatches struct{ Regex string }
	// TextNotMatches is true if it does not.
	TextNotMatches struct{ Regex string }
)

func (Exists) field() (byte, string)         { return 1, "exists" }
func (NotExists) field() (byte, string)      { return 2, "not_exists" }
func (TextEquals) field() (byte, string)     { return 3, "text_equals" }
func (TextNotEquals) field() (byte, string)  { return 4, "text_not_equals" }
func (TextMatches) field() (byte, string)    { return 5, "text_matches" }
func (TextNotMatches) field() (byte, string) { return 6, "text_not_matches" }

func (Exists) text() (name, value string)           { return "", "" }
func (NotExists) text() (name, value string)        { return "", "" }
func (p TextEquals) text() (name, value string)     { return "value", p.Value }
func (p TextNotEquals) text() (name, value string)  { return "value", p.Value }
func (p TextMatches) text() (name, value string)    { return "regex", p.Regex }
func (p TextNotMatches) text() (name, value string) { return "regex", p.Regex }

// Marshal returns the protobuf encoding of the message OfferConstraints, roles
// in order. It is to be embedded as field 3 of Call.Subscribe or of
// Call.UpdateFramework.
func (c OfferConstraints) Marshal() []byte {
	var out []byte
	for _, role := range slices.Sorted(maps.Keys(c)) {
		if len(c[role]) == 0 {
			continue // a master refuses a role without groups
		}
		var groups []byte
		for _, g := range c[role] {
			var group []byte
			for _, a := range g {
				group = appendBytes(group, 1, a.marshal())
			}
			groups = appendBytes(groups, 1, group)
		}
		entry := appendBytes(nil, 1, []byte(role))
		entry = appendBytes(entry, 2, groups)
		out = appendBytes(out, 1, entry)
	}
	return out
}

func (a AttributeConstraint) marshal() []byte {
	var selector []byte
	if a.Selector.Pseudo != 0 {
		selector = append(selector, 1<<3, byte(a.Selector.Pseudo)) // a varint
	} else {
		selector = appendBytes(nil, 2, []byte(a.Selector.Name))
	}
	var parameter []byte
	if name, value := a.Predicate.text(); name != "" {
		parameter = appendBytes(nil, 1, []byte(value))
	}
	number, _ := a.Predicate.field()
	return appendBytes(appendBytes(nil, 1, selector), 2, appendBytes(nil, number, parameter))
}

// appendBytes appends a length-delimited protobuf field.
func appendBytes(b []byte, number byte, data []byte) []byte {
	b = append(b, number<<3|2)
	n := len(data)
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(append(b, byte(n)), data...)
}

// The JSON of the messages, as a master reads it.
type (
	jsonConstraints struct {
		Roles map[string]jsonRole `json:"role_constraints"`
	}
	jsonRole struct {
		Groups []jsonGroup `json:"groups"`
	}
	jsonGroup struct {
		Constraints []jsonConstraint `json:"attribute_constraints"`
	}
	jsonConstraint struct {
		Selector  jsonSelector                 `json:"selector"`
		Predicate map[string]map[string]string `json:"predicate"`
	}
	jsonSelector struct {
		Name   *string `json:"attribute_name,omitempty"`
		Pseudo string  `json:"pseudoattribute_type,omitempty"`
	}
)

// MarshalJSON writes the message as the JSON API takes it.
func (c OfferConstraints) MarshalJSON() ([]byte, error) {
	out := jsonConstraints{Roles: map[string]jsonRole{}}
	for role, groups := range c {
		if len(groups) == 0 {
			continue
		}
		var r jsonRole
		for _, g := range groups {
			var group jsonGroup
			for _, a := range g {
				group.Constraints = append(group.Constraints, a.json())
			}
			r.Groups = append(r.Groups, group)
		}
		out.Roles[role] = r
	}
	return json.Marshal(out)
}

func (a AttributeConstraint) json() jsonConstraint {
	var out jsonConstraint
	if int(a.Selector.Pseudo) < len(pseudoNames) && a.Selector.Pseudo != 0 {
		out.Selector.Pseudo = pseudoNames[a.Selector.Pseudo]
	} else {
		out.Selector.Name = &a.Selector.Name
	}
	parameter := map[string]string{}
	if name, value := a.Predicate.text(); name != "" {
		parameter[name] = value
	}
	_, field := a.Predicate.field()
	out.Predicate = map[string]map[string]string{field: parameter}
	return out
}

// UnmarshalJSON reads what MarshalJSON writes, and refuses what a master
// refuses: an empty group, an unknown selector or predicate, a bad regular
// expression.
func (c *OfferConstraints) UnmarshalJSON(data []byte) error {
	var in jsonConstraints
	if err := json.Unmarshal(data, &in); err != nil {
		return fmt.Errorf("offer constraints: %w", err)
	}
	out := OfferConstraints{}
	for _, role := range slices.Sorted(maps.Keys(in.Roles)) {
		if len(in.Roles[role].Groups) == 0 {
			return fmt.Errorf("offer constraints of role %q: no groups", role)
		}
		for _, g := range in.Roles[role].Groups {
			if len(g.Constraints) == 0 {
				return fmt.Errorf("offer constraints of role %q: a group without constraints", role)
			}
			var group Group
			for _, constraint := range g.Constraints {
				a, err := constraint.read()
				if err != nil {
					return fmt.Errorf("offer constraints of role %q: %w", role, err)
				}
				group = append(group, a)
			}
			out[role] = append(out[role], group)
		}
	}
	*c = out
	return nil
}

func (j jsonConstraint) read() (AttributeConstraint, error) {
	var out AttributeConstraint
	pseudo := slices.Index(pseudoNames[:], j.Selector.Pseudo)
	switch {
	case j.Selector.Name != nil && j.Selector.Pseudo == "":
		out.Selector.Name = *j.Selector.Name
	case j.Selector.Name == nil && pseudo > 0:
		out.Selector.Pseudo = Pseudo(pseudo)
	default:
		return out, fmt.Errorf("selector: want attribute_name, or pseudoattribute_type HOSTNAME, REGION or ZONE, not %q", j.Selector.Pseudo)
	}
	if len(j.Predicate) != 1 {
		return out, fmt.Errorf("%d predicates, want one", len(j.Predicate))
	}
	for field, parameter := range j.Predicate { // just one
		known := []Predicate{Exists{}, NotExists{}, TextEquals{parameter["value"]}, TextNotEquals{parameter["value"]},
			TextMatches{parameter["regex"]}, TextNotMatches{parameter["regex"]}}
		for _, p := range known {
			if _, name := p.field(); name == field {
				out.Predicate = p
			}
		}
		if out.Predicate == nil {
			return out, fmt.Errorf("predicate %q is unknown", field)
		}
		if _, err := regexp.Compile(parameter["regex"]); err != nil {
			return out, fmt.Errorf("%s: %w", field, err)
		}
	}
	return out, nil
}

// Excludes reports whether a master would not offer the agent to the role. It
// is what a master does, for tests and simulations.
func (c OfferConstraints) Excludes(role string, a Agent) bool {
	groups := c[role]
	if len(groups) == 0 {
		return false
	}
	return !slices.ContainsFunc(groups, func(g Group) bool {
		return !slices.ContainsFunc(g, func(c AttributeConstraint) bool { return !c.passes(&a) })
	})
}

func (a AttributeConstraint) passes(agent *Agent) bool {
	v, isText := value{}, true
	switch a.Selector.Pseudo {
	case PseudoHostname:
		v = textValue(agent.Hostname)
	case PseudoRegion:
		v = domainValue(agent.Region)
	case PseudoZone:
		v = domainValue(agent.Zone)
	default:
		for i := range agent.Attributes {
			if t := &agent.Attributes[i]; t.Name == a.Selector.Name {
				v, isText = textValue(t.GetText().GetValue()), t.Type == mesos.TEXT
				break
			}
		}
	}
	switch p := a.Predicate.(type) {
	case Exists:
		return v.present
	case NotExists:
		return !v.present
	case TextEquals:
		return v.present && (!isText || v.text == p.Value)
	case TextNotEquals:
		return !v.present || !isText || v.text != p.Value
	case TextMatches:
		return v.present && (!isText || wholly(p.Regex, v.text))
	case TextNotMatches:
		return !v.present || !isText || !wholly(p.Regex, v.text)
	}
	return true
}

func wholly(pattern, s string) bool {
	re, err := regexp.Compile(`\A(?:` + pattern + `)\z`)
	return err == nil && re.MatchString(s)
}
