package model

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// OfferConstraints restrict, by role, the agents whose offers a framework
// wants. A role without an entry is not restricted. They are Mesos's
// offer_constraints.role_constraints (since 1.11), which mesos-go's types lack.
type OfferConstraints map[string][]ConstraintGroup

// ConstraintGroup holds when all its constraints do; a role's constraints hold
// when one of its groups does.
type ConstraintGroup []AttributeConstraint

// AttributeConstraint tests one attribute, or a pseudo attribute, of an agent.
type AttributeConstraint struct {
	Attribute string // name; or
	Pseudo    PseudoAttribute
	Predicate Predicate
	Value     string // text or regular expression, where the predicate has one

	re *regexp.Regexp
}

// PseudoAttribute is what an agent has besides attributes.
type PseudoAttribute int

// The pseudo attributes, numbered as in Mesos's protocol.
const (
	NoPseudo PseudoAttribute = iota
	PseudoHostname
	PseudoRegion
	PseudoZone
)

// Predicate is the kind of test, numbered by its field in Mesos's protocol.
type Predicate int

// The predicates. Those on text hold for attributes that exist and are not
// text, which the framework must judge by itself.
const (
	NoPredicate Predicate = iota
	Exists
	NotExists
	TextEquals
	TextNotEquals
	TextMatches
	TextNotMatches
)

// compile checks the constraints and prepares their regular expressions.
func (c OfferConstraints) compile(roles []string) error {
	for _, role := range sortedKeys(c) {
		if !slices.Contains(roles, role) {
			return fmt.Errorf("Offer constraints specify `role_constraints` for a role '%s'not contained in the set of roles", role)
		}
		if len(c[role]) == 0 {
			return fmt.Errorf("Offer constraints are not valid: 'OfferConstraints.role_constraints' has an empty `groups` for role %s", role)
		}
		for _, g := range c[role] {
			for i := range g {
				if err := g[i].compile(); err != nil {
					return fmt.Errorf("Offer constraints are not valid: A role %s has an invalid 'AttributeConstraint': %w", role, err)
				}
			}
		}
	}
	return nil
}

func (a *AttributeConstraint) compile() error {
	if a.Attribute == "" && a.Pseudo == NoPseudo {
		return errors.New("Exactly one of 'AttributeConstraint::Selector::name' or 'AttributeConstraint::Selector::pseudoattribute_type' must be set")
	}
	switch a.Predicate {
	case NoPredicate:
		return errors.New("Unknown predicate type")
	case TextMatches, TextNotMatches:
		re, err := regexp.Compile("^(?:" + a.Value + ")$")
		if err != nil {
			_, err = regexp.Compile(a.Value)
			return fmt.Errorf("Failed to construct regex from pattern '%s': %s", a.Value, re2Text(err))
		}
		a.re = re
	}
	return nil
}

// re2Text words a syntax error as the RE2 library does.
func re2Text(err error) string {
	var bad *syntax.Error
	if !errors.As(err, &bad) {
		return "bad regular expression"
	}
	code := bad.Code.String()
	switch bad.Code {
	case syntax.ErrMissingBracket:
		code = "missing ]"
	case syntax.ErrMissingParen:
		code = "missing )"
	}
	return code + ": " + bad.Expr
}

// excludes reports whether the framework wants no offer of the agent in role.
func (c OfferConstraints) excludes(role string, info *mesos.AgentInfo) bool {
	groups, ok := c[role]
	if !ok {
		return false
	}
	return !slices.ContainsFunc(groups, func(g ConstraintGroup) bool {
		return !slices.ContainsFunc(g, func(a AttributeConstraint) bool { return !a.holds(info) })
	})
}

func (a *AttributeConstraint) holds(info *mesos.AgentInfo) bool {
	text, isText, exists := a.find(info)
	switch a.Predicate {
	case Exists:
		return exists
	case NotExists:
		return !exists
	case TextEquals:
		return exists && (!isText || text == a.Value)
	case TextNotEquals:
		return !exists || !isText || text != a.Value
	case TextMatches:
		return exists && (!isText || a.re.MatchString(text))
	case TextNotMatches:
		return !exists || !isText || !a.re.MatchString(text)
	}
	return false
}

func (a *AttributeConstraint) find(info *mesos.AgentInfo) (text string, isText, exists bool) {
	fault := info.GetDomain().GetFaultDomain()
	switch a.Pseudo {
	case PseudoHostname:
		return info.Hostname, true, true
	case PseudoRegion:
		if fault == nil {
			return "", false, false
		}
		return fault.Region.Name, true, true
	case PseudoZone:
		if fault == nil {
			return "", false, false
		}
		return fault.Zone.Name, true, true
	}
	for i := range info.Attributes {
		if at := &info.Attributes[i]; at.Name == a.Attribute {
			if at.Type == mesos.TEXT {
				return at.GetText().GetValue(), true, true
			}
			return "", false, true
		}
	}
	return "", false, false
}
