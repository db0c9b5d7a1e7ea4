package scheduler

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// checkRoles checks the list of roles of a field.
func checkRoles(field string, roles []string) error {
	for i, role := range roles {
		if slices.Contains(roles[:i], role) {
			return fmt.Errorf("%s has %q twice: each role once", field, role)
		}
		if err := checkRole(role); err != nil {
			return fmt.Errorf("%s has %q: %w", field, role, err)
		}
	}
	return nil
}

// checkRole applies the rules that the master applies (src/common/roles.cpp of
// Mesos), so that a wrong role is found before anything is sent.
func checkRole(role string) error {
	if role == "*" {
		return nil
	}
	for part := range strings.SplitSeq(role, "/") {
		switch {
		case part == "":
			return errors.New("a role and each of its parts between slashes must not be empty")
		case part == "." || part == "..":
			return errors.New(`no part of a role may be "." or ".."`)
		case strings.HasPrefix(part, "-"):
			return errors.New("no part of a role may start with a dash")
		case strings.ContainsAny(part, " \t\n\v\f\r\b\x7f"):
			return errors.New("a role must not contain white space or backspace")
		case part == "*":
			return errors.New(`"*" can only be a role by itself`)
		}
	}
	return nil
}
