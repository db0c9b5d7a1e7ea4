package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/mesokit/mesokit/internal/edit"
)

// A field is one key of the cluster file. Those that hold one value are also
// flags of the same name.
type field struct {
	name string
	help string
	want string                              // what would be right
	set  func(value string) error            // nil if the field holds more than one value
	node func(at string, n *yaml.Node) error // for those
}

func textField(name string, into *string, want, help string) field {
	return field{name: name, help: help, want: want, set: func(s string) error {
		*into = s
		return nil
	}}
}

func boolField(name string, into *bool, help string) field {
	return field{name: name, help: help, want: "true or false", set: func(s string) error {
		var err error
		*into, err = strconv.ParseBool(s)
		return err
	}}
}

func countField(name string, into *int, help string) field {
	return field{name: name, help: help, want: "a whole number of 1 or more", set: func(s string) error {
		n, err := strconv.Atoi(s)
		if err == nil && n < 1 {
			err = errors.New("too small")
		}
		*into = n
		return err
	}}
}

func durationField(name string, into *time.Duration, help string) field {
	return field{name: name, help: help, want: "a duration above 0, such as 500ms, 5secs or 1m30s", set: func(s string) error {
		d, err := parseDuration(s)
		if err == nil && d <= 0 {
			err = errors.New("too short")
		}
		*into = d
		return err
	}}
}

// mapField holds text by name.
func mapField(name string, into *map[string]string, want, help string) field {
	return field{name: name, help: help, want: want, node: func(at string, n *yaml.Node) error {
		if n.Kind != yaml.MappingNode {
			return invalid(n, at, want)
		}
		*into = map[string]string{}
		for i := 0; i < len(n.Content); i += 2 {
			key, value := n.Content[i].Value, resolve(n.Content[i+1])
			if value.Kind != yaml.ScalarNode {
				return invalid(value, at+"."+key, want)
			}
			(*into)[key] = value.Value
		}
		return nil
	}}
}

// listField holds any number of the same.
func listField(name string, item func(at string, n *yaml.Node) error, want, help string) field {
	return field{name: name, help: help, want: want, node: func(at string, n *yaml.Node) error {
		if n.Kind != yaml.SequenceNode {
			return invalid(n, at, want)
		}
		var all error
		for i, x := range n.Content {
			all = errors.Join(all, item(fmt.Sprintf("%s[%d]", at, i), resolve(x)))
		}
		return all
	}}
}

// assign gives the fields the values of a mapping; at is where that is, "" at
// the top. All that is wrong is reported.
func assign(fields []field, at string, n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return invalid(n, cmp.Or(at, "it"), "a mapping with any of "+strings.Join(names(fields), ", "))
	}
	var all error
	seen := map[string]bool{}
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], resolve(n.Content[i+1])
		path := strings.TrimPrefix(at+"."+key.Value, ".")
		j := slices.IndexFunc(fields, func(f field) bool { return f.name == key.Value })
		switch {
		case j < 0:
			all = errors.Join(all, fmt.Errorf("line %d: %s is no field: %s", key.Line, path, suggest(key.Value, names(fields))))
		case seen[key.Value]:
			all = errors.Join(all, fmt.Errorf("line %d: %s is there twice", key.Line, path))
		case value.Tag == "!!null": // nothing is said: the default
		case fields[j].set == nil:
			all = errors.Join(all, fields[j].node(path, value))
		case value.Kind != yaml.ScalarNode || fields[j].set(value.Value) != nil:
			all = errors.Join(all, invalid(value, path, fields[j].want))
		}
		seen[key.Value] = true
	}
	return all
}

// invalid says that a value is not what it should be.
func invalid(n *yaml.Node, at, want string) error {
	is := map[yaml.Kind]string{yaml.MappingNode: "a mapping", yaml.SequenceNode: "a list"}[n.Kind]
	if n.Kind == yaml.ScalarNode {
		is = strconv.Quote(n.Value)
	}
	return fmt.Errorf("line %d: %s is %s: want %s", n.Line, at, is, want)
}

// resolve follows an alias to what it stands for.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func names(fields []field) []string {
	var all []string
	for _, f := range fields {
		all = append(all, f.name)
	}
	return all
}

// suggest names the known name that was probably meant, or all of them.
func suggest(name string, known []string) string {
	plain := func(s string) string { return strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(s)) }
	best, least := "", len(name)/3+1
	for _, k := range known {
		if d := edit.Distance(plain(name), plain(k)); d < least {
			best, least = k, d
		}
	}
	if best != "" {
		return "did you mean " + best + "?"
	}
	return "want one of " + strings.Join(known, ", ")
}

// units are those of Mesos's flags (3rdparty/stout/include/stout/duration.hpp)
// that Go does not have.
var units = map[string]time.Duration{
	"secs": time.Second, "mins": time.Minute, "hrs": time.Hour, "days": 24 * time.Hour, "weeks": 7 * 24 * time.Hour,
}

// parseDuration reads a duration as Go writes it, or as a flag of Mesos.
func parseDuration(s string) (time.Duration, error) {
	for _, unit := range slices.Sorted(maps.Keys(units)) {
		number, ok := strings.CutSuffix(s, unit)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(number, 64)
		if d := n * float64(units[unit]); err != nil || !(d < 1<<63 && d > -1<<63) {
			return 0, fmt.Errorf("%q: want a number before %s", s, unit)
		}
		return time.Duration(n * float64(units[unit])), nil
	}
	return time.ParseDuration(s)
}
