package model

import (
	"errors"
	"fmt"
	"math"
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// The checks of this file are those of validation::framework in
// src/master/validation.cpp, in their order and with their texts.

// validateFramework checks what a framework says of itself.
func (m *Master) validateFramework(info *mesos.FrameworkInfo) error {
	if err := validateRoles(info); err != nil {
		return err
	}
	id := info.GetID().GetValue()
	if id != "" {
		if err := validateID(id); err != nil {
			return err
		}
	}
	if err := validateOfferFilters(info); err != nil {
		return err
	}
	// The bound is that of stout's Duration, 2^63 nanoseconds.
	if s := info.GetFailoverTimeout(); math.IsNaN(s) || math.Abs(s) > math.MaxInt64/1e9 {
		return fmt.Errorf("The framework failover_timeout (%v) is invalid", s)
	}
	if m.completed[id] != nil {
		return errors.New("Framework has been removed")
	}
	return nil
}

func validateRoles(info *mesos.FrameworkInfo) error {
	if !hasCapability(info, mesos.FrameworkInfo_Capability_MULTI_ROLE) {
		if len(info.Roles) > 0 {
			return errors.New("'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable")
		}
		if err := validateRole(info.GetRole()); err != nil {
			return fmt.Errorf("'FrameworkInfo.role' is not a valid role: %w", err)
		}
		return nil
	}
	if info.Role != nil {
		return errors.New("'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable")
	}
	seen, twice := map[string]bool{}, map[string]bool{}
	for _, r := range info.Roles {
		if seen[r] {
			twice[r] = true
		}
		seen[r] = true
	}
	if len(twice) > 0 {
		return fmt.Errorf("'FrameworkInfo.roles' contains duplicate items: %s", setText(sortedKeys(twice)))
	}
	for _, r := range info.Roles {
		if err := validateRole(r); err != nil {
			return fmt.Errorf("'FrameworkInfo.roles' contains invalid role: %w", err)
		}
	}
	return nil
}

func validateOfferFilters(info *mesos.FrameworkInfo) error {
	for _, role := range sortedKeys(info.OfferFilters) {
		filters := info.OfferFilters[role]
		for _, q := range filters.GetMinAllocatableResources().GetQuantities() {
			if len(q.Quantities) == 0 {
				return errors.New("Resource quantities must contain at least one quantity")
			}
			for _, name := range sortedKeys(q.Quantities) {
				if err := validateScalar(q.Quantities[name].Value); err != nil {
					return fmt.Errorf("Invalid resource quantity for '%s': %w", name, err)
				}
			}
		}
	}
	return nil
}

// validateScalar checks a number that a user gave (validateInputScalarValue).
func validateScalar(v float64) error {
	const smallestNormal = 0x1p-1022
	switch {
	case math.IsInf(v, 0):
		return errors.New("Infinite values not supported")
	case math.IsNaN(v):
		return errors.New("NaN not supported")
	case v != 0 && math.Abs(v) < smallestNormal:
		return errors.New("Subnormal values not supported")
	case v < 0:
		return errors.New("Negative values not supported")
	}
	return nil
}

func validateSuppressed(suppressed, roles []string) error {
	var bad []string
	for _, r := range suppressed {
		if !slices.Contains(roles, r) && !slices.Contains(bad, r) {
			bad = append(bad, r)
		}
	}
	if len(bad) > 0 {
		return fmt.Errorf("Suppressed roles %s are not contained in the set of roles", setText(bad))
	}
	return nil
}

// validateUpdate checks that only what may change does
// (framework::validateUpdate).
func validateUpdate(old, info *mesos.FrameworkInfo) error {
	switch {
	case (old.Principal == nil) != (info.Principal == nil) || old.GetPrincipal() != info.GetPrincipal():
		return errors.New("Changing framework's principal is not allowed.")
	case old.User != info.User:
		return fmt.Errorf("Updating 'FrameworkInfo.user' is unsupported; attempted to update from '%s' to '%s'", old.User, info.User)
	case old.GetCheckpoint() != info.GetCheckpoint():
		return fmt.Errorf("Updating 'FrameworkInfo.checkpoint' is unsupported; attempted to update from '%t' to '%t'",
			old.GetCheckpoint(), info.GetCheckpoint())
	}
	return nil
}
