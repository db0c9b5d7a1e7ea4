package executor

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// taskEnvironment is the environment of a task's processes as NAME=value,
// sorted: what the executor inherited without what is private to it, then the
// task's own variables, then MESOS_SANDBOX.
func taskEnvironment(inherited []string, own map[string]string, sandbox string) ([]string, error) {
	vars := map[string]string{}
	for _, kv := range inherited {
		name, value, _ := strings.Cut(kv, "=")
		if name != "" && !slices.Contains(private, name) && !strings.HasPrefix(name, "LIBPROCESS_") {
			vars[name] = value
		}
	}
	vars["MESOS_SANDBOX"] = sandbox
	// Values of the task may refer to inherited variables, not to one another:
	// that would need an order, which a map does not have.
	outer := maps.Clone(vars)
	for _, name := range slices.Sorted(maps.Keys(own)) {
		value, err := expand(own[name], func(name string) (string, bool) { v, ok := outer[name]; return v, ok })
		if err != nil {
			return nil, fmt.Errorf("env %s: %w", name, err)
		}
		vars[name] = value
	}
	env := make([]string, 0, len(vars))
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		env = append(env, name+"="+vars[name])
	}
	return env, nil
}

var reference = regexp.MustCompile(`\$(\$|[A-Za-z_][A-Za-z0-9_]*|\{[A-Za-z_][A-Za-z0-9_]*\})`)

// expand replaces $NAME and ${NAME} in s by what lookup knows, and $$ by $. A
// dollar sign before anything else stands for itself.
func expand(s string, lookup func(string) (string, bool)) (string, error) {
	var err error
	expanded := reference.ReplaceAllStringFunc(s, func(ref string) string {
		if ref == "$$" {
			return "$"
		}
		name := strings.Trim(ref, "${}")
		value, ok := lookup(name)
		if !ok && err == nil {
			err = fmt.Errorf("%q: variable %s is not set ($$ stands for a dollar sign)", s, name)
		}
		return value
	})
	if err != nil {
		return "", err
	}
	return expanded, nil
}

// environValue is the value of a variable in an environment; empty if it is
// not set.
func environValue(env []string, name string) string {
	value, _ := environLookup(env)(name)
	return value
}

func environLookup(env []string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := len(env) - 1; i >= 0; i-- { // the last one counts, as in os/exec
			if value, ok := strings.CutPrefix(env[i], name+"="); ok {
				return value, true
			}
		}
		return "", false
	}
}

// expandAll expands each of args in env.
func expandAll(args, env []string) ([]string, error) {
	expanded := make([]string, len(args))
	for i, arg := range args {
		var err error
		if expanded[i], err = expand(arg, environLookup(env)); err != nil {
			return nil, err
		}
	}
	return expanded, nil
}
