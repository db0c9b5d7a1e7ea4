package model

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// validateRole checks a role's name by the rules of Mesos (src/common/roles.cpp).
func validateRole(role string) error {
	switch {
	case role == "*":
		return nil
	case role == "":
		return errors.New("Role names cannot be the empty string")
	case strings.HasPrefix(role, "/"):
		return fmt.Errorf("Role '%s' cannot start with a slash", role)
	case strings.HasSuffix(role, "/"):
		return fmt.Errorf("Role '%s' cannot end with a slash", role)
	}
	for part := range strings.SplitSeq(role, "/") {
		switch {
		case part == "":
			return fmt.Errorf("Role '%s' cannot contain two adjacent slashes", role)
		case part == ".":
			return fmt.Errorf("Role '%s' cannot include '.' as a component", role)
		case part == "..":
			return fmt.Errorf("Role '%s' cannot include '..' as a component", role)
		case part == "*":
			return fmt.Errorf("Role '%s' cannot include '*' as a component", role)
		case strings.HasPrefix(part, "-"):
			return fmt.Errorf("Role component '%s' is invalid because it starts with a dash", part)
		case strings.ContainsAny(part, "\t\n\v\f\r \x7f"):
			return fmt.Errorf("Role component '%s' is invalid because it contains backspace or whitespace", part)
		}
	}
	return nil
}

// validateID checks an identifier that becomes part of a path
// (src/common/validation.cpp, validateID).
func validateID(id string) error {
	switch {
	case id == "":
		return errors.New("ID must not be empty")
	case len(id) > 255:
		return errors.New("ID must not be greater than 255 characters")
	case id == "." || id == "..":
		return fmt.Errorf("'%s' is disallowed", id)
	}
	for _, c := range id {
		if c < 0x20 || c == 0x7f || c == '/' || c == '\\' {
			return fmt.Errorf("'%s' contains invalid characters", id)
		}
	}
	return nil
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
