package mesostest

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/mesokit/mesokit/internal/model"
)

// The offer constraints of SUBSCRIBE and UPDATE_FRAMEWORK are not among the
// types of mesos-go, so they are read here by hand. Fields are numbered as in
// include/mesos/v1/scheduler/scheduler.proto.

var predicates = map[string]model.Predicate{
	"exists": model.Exists, "not_exists": model.NotExists,
	"text_equals": model.TextEquals, "text_not_equals": model.TextNotEquals,
	"text_matches": model.TextMatches, "text_not_matches": model.TextNotMatches,
}

var pseudoAttributes = map[string]model.PseudoAttribute{
	"HOSTNAME": model.PseudoHostname, "REGION": model.PseudoRegion, "ZONE": model.PseudoZone,
}

// constraintsFromJSON reads the constraints of a call.
func constraintsFromJSON(call any) (model.OfferConstraints, error) {
	object, _ := call.(map[string]any)
	for _, name := range []string{"subscribe", "update_framework"} {
		inner, _ := object[name].(map[string]any)
		if v, ok := inner["offer_constraints"]; ok {
			b, err := json.Marshal(v)
			if err != nil {
				return nil, err
			}
			return decodeConstraints(b)
		}
	}
	return nil, nil
}

func decodeConstraints(b []byte) (model.OfferConstraints, error) {
	var in struct {
		Roles map[string]struct {
			Groups []struct {
				Constraints []struct {
					Selector struct {
						Attribute string `json:"attribute_name"`
						Pseudo    string `json:"pseudoattribute_type"`
					} `json:"selector"`
					Predicate map[string]struct {
						Value string `json:"value"`
						Regex string `json:"regex"`
					} `json:"predicate"`
				} `json:"attribute_constraints"`
			} `json:"groups"`
		} `json:"role_constraints"`
	}
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, fmt.Errorf("Failed to convert JSON into Call protobuf: offer_constraints: %w", err)
	}
	out := model.OfferConstraints{}
	for role, rc := range in.Roles {
		groups := make([]model.ConstraintGroup, 0, len(rc.Groups))
		for _, g := range rc.Groups {
			var group model.ConstraintGroup
			for _, c := range g.Constraints {
				a := model.AttributeConstraint{Attribute: c.Selector.Attribute, Pseudo: pseudoAttributes[c.Selector.Pseudo]}
				for name, p := range c.Predicate {
					if kind, ok := predicates[name]; ok {
						a.Predicate, a.Value = kind, p.Value+p.Regex
					}
				}
				group = append(group, a)
			}
			groups = append(groups, group)
		}
		out[role] = groups
	}
	return out, nil
}

var errWire = errors.New("malformed protocol buffer")

// wireField is one field of an encoded message.
type wireField struct {
	number int
	kind   int
	data   []byte // of a length-delimited field
	value  uint64 // of a varint
	raw    []byte // with its tag
}

// wireFields splits an encoded message.
func wireFields(b []byte) ([]wireField, error) {
	var out []wireField
	for len(b) > 0 {
		start := b
		tag, n := binary.Uvarint(b)
		if n <= 0 || tag>>3 == 0 || tag>>3 > 1<<29 {
			return nil, errWire
		}
		b = b[n:]
		f := wireField{number: int(tag >> 3), kind: int(tag & 7)}
		switch f.kind {
		case 0:
			v, n := binary.Uvarint(b)
			if n <= 0 {
				return nil, errWire
			}
			f.value, b = v, b[n:]
		case 1, 5:
			size := 8
			if f.kind == 5 {
				size = 4
			}
			if len(b) < size {
				return nil, errWire
			}
			b = b[size:]
		case 2:
			size, n := binary.Uvarint(b)
			if n <= 0 || size > uint64(len(b)-n) {
				return nil, errWire
			}
			f.data, b = b[n:n+int(size)], b[n+int(size):]
		default:
			return nil, errWire
		}
		f.raw = start[:len(start)-len(b)]
		out = append(out, f)
	}
	return out, nil
}

// The fields of Call that hold constraints, and the field within them.
const (
	callSubscribe       = 3
	callUpdateFramework = 19
	offerConstraints    = 3
)

// constraintsFromWire reads the constraints of an encoded call. An encoder may
// write an embedded message in several parts, which decoders must join; gogo's
// does not, so the returned call has them joined.
func constraintsFromWire(b []byte) (model.OfferConstraints, []byte, error) {
	fields, err := wireFields(b)
	if err != nil {
		return nil, nil, err
	}
	joined := map[int][]byte{}
	var rest []byte
	for _, f := range fields {
		if f.kind == 2 && (f.number == callSubscribe || f.number == callUpdateFramework) {
			joined[f.number] = append(joined[f.number], f.data...)
		} else {
			rest = append(rest, f.raw...)
		}
	}
	out := model.OfferConstraints{}
	for _, number := range []int{callSubscribe, callUpdateFramework} {
		inner, ok := joined[number]
		if !ok {
			continue
		}
		rest = binary.AppendUvarint(rest, uint64(number)<<3|2)
		rest = binary.AppendUvarint(rest, uint64(len(inner)))
		rest = append(rest, inner...)
		parts, err := wireFields(inner)
		if err != nil {
			return nil, nil, err
		}
		for _, p := range parts {
			if p.number == offerConstraints && p.kind == 2 {
				if err := wireRoles(p.data, out); err != nil {
					return nil, nil, err
				}
			}
		}
	}
	if len(out) == 0 {
		out = nil
	}
	return out, rest, nil
}

// wireRoles reads OfferConstraints: a map of roles in field 1.
func wireRoles(b []byte, out model.OfferConstraints) error {
	entries, err := wireFields(b)
	if err != nil {
		return err
	}
	for _, e := range entries {
		kv, err := wireFields(e.data)
		if err != nil {
			return err
		}
		role, groups := "", []model.ConstraintGroup{}
		for _, f := range kv {
			switch f.number {
			case 1:
				role = string(f.data)
			case 2:
				if groups, err = wireGroups(f.data); err != nil {
					return err
				}
			}
		}
		out[role] = groups
	}
	return nil
}

func wireGroups(b []byte) ([]model.ConstraintGroup, error) {
	fields, err := wireFields(b)
	if err != nil {
		return nil, err
	}
	groups := []model.ConstraintGroup{}
	for _, f := range fields {
		constraints, err := wireFields(f.data)
		if err != nil {
			return nil, err
		}
		var g model.ConstraintGroup
		for _, c := range constraints {
			a, err := wireConstraint(c.data)
			if err != nil {
				return nil, err
			}
			g = append(g, a)
		}
		groups = append(groups, g)
	}
	return groups, nil
}

// wireConstraint reads an AttributeConstraint: selector 1, predicate 2.
func wireConstraint(b []byte) (model.AttributeConstraint, error) {
	var a model.AttributeConstraint
	parts, err := wireFields(b)
	if err != nil {
		return a, err
	}
	for _, part := range parts {
		inner, err := wireFields(part.data)
		if err != nil {
			return a, err
		}
		for _, f := range inner {
			switch {
			case part.number == 1 && f.number == 1:
				a.Pseudo = model.PseudoAttribute(f.value)
			case part.number == 1 && f.number == 2:
				a.Attribute = string(f.data)
			case part.number == 2:
				a.Predicate = model.Predicate(f.number)
				values, err := wireFields(f.data)
				if err != nil {
					return a, err
				}
				for _, v := range values {
					a.Value = string(v.data)
				}
			}
		}
	}
	return a, nil
}
