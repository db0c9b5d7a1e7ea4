package cli

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/frameworks"
)

// PortVar adds a flag for a port or a range of ports.
func PortVar(f *pflag.FlagSet, p *frameworks.Port, name, usage string) {
	f.Var((*port)(p), name, usage)
}

type port frameworks.Port

func (p *port) Type() string { return "port" }

func (p *port) String() string {
	switch {
	case p.Begin == 0 && p.End == 0:
		return ""
	case p.Begin == p.End:
		return strconv.FormatUint(p.Begin, 10)
	}
	return fmt.Sprintf("%d-%d", p.Begin, p.End)
}

func (p *port) Set(text string) error {
	first, last, ranged := strings.Cut(text, "-")
	if !ranged {
		last = first
	}
	begin, err1 := strconv.ParseUint(first, 10, 16)
	end, err2 := strconv.ParseUint(last, 10, 16)
	if err1 != nil || err2 != nil || begin == 0 || begin > end {
		return fmt.Errorf("wants a port such as 9092, or a range such as 9092-9099")
	}
	p.Begin, p.End = begin, end
	return nil
}

// RulesVar adds a flag for rules of placement, one each time that it is given.
func RulesVar(f *pflag.FlagSet, r *constraints.Rules, name, usage string) {
	f.Var(&rules{to: r}, name, usage)
}

type rules struct {
	to   *constraints.Rules
	said []string
}

func (r *rules) Type() string   { return "rule" }
func (r *rules) String() string { return strings.Join(r.said, " ") }

func (r *rules) Set(text string) error {
	said := append(r.said, text)
	parsed, err := constraints.Parse(said...)
	if err != nil {
		return err
	}
	r.said, *r.to = said, parsed
	return nil
}

// PairsVar adds a flag for "key=value", one each time that it is given.
func PairsVar(f *pflag.FlagSet, m *map[string]string, name, usage string) {
	f.Var(&pairs{to: m}, name, usage)
}

type pairs struct {
	to   *map[string]string
	said []string
}

func (p *pairs) Type() string   { return "key=value" }
func (p *pairs) String() string { return strings.Join(p.said, " ") }

func (p *pairs) Set(text string) error {
	key, value, ok := strings.Cut(text, "=")
	key = strings.TrimSpace(key)
	if !ok || key == "" {
		return fmt.Errorf("wants key=value")
	}
	if old, twice := (*p.to)[key]; twice {
		return fmt.Errorf("%s is %q already: wants each key once", key, old)
	}
	if *p.to == nil {
		*p.to = map[string]string{}
	}
	(*p.to)[key] = strings.TrimSpace(value)
	p.said = append(p.said, text)
	return nil
}

// flagError speaks of flags where its cause speaks of a declaration's fields.
type flagError struct {
	error
	flags  *pflag.FlagSet
	fields map[string]string
}

func (e flagError) Unwrap() error { return e.error }

var fieldName = regexp.MustCompile(`\b[A-Z]\w*(\.[A-Z]\w*)+`)

func (e flagError) Error() string {
	return fieldName.ReplaceAllStringFunc(e.error.Error(), func(field string) string {
		if flag := e.flag(field); flag != "" {
			return "--" + flag
		}
		return field
	})
}

// flag is the one that sets a field, or "".
func (e flagError) flag(field string) string {
	if flag, ok := e.fields[field]; ok {
		return flag
	}
	if strings.Count(field, ".") != 1 {
		return ""
	}
	_, last, _ := strings.Cut(field, ".")
	kebab := strings.ToLower(hump.ReplaceAllString(last, "$1-$2"))
	for _, name := range []string{kebab, strings.TrimSuffix(kebab, "s")} {
		if e.flags.Lookup(name) != nil {
			return name
		}
	}
	return ""
}

var hump = regexp.MustCompile(`([a-z])([A-Z])`)
