package mesostest

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"sort"
	"strings"
)

// placeholders stand in recordings for what differs from run to run.
var placeholder = regexp.MustCompile(`<([a-z_-]+?)(-[0-9]+)?>`)

// bindings say what the numbered placeholders of a recording are in this run.
type bindings struct {
	value map[string]string // of a placeholder
	name  map[string]string // of a value, by kind of placeholder
}

func newBindings() *bindings { return &bindings{map[string]string{}, map[string]string{}} }

func (b *bindings) clone() *bindings {
	c := newBindings()
	maps.Copy(c.value, b.value)
	maps.Copy(c.name, b.name)
	return c
}

func kindOf(name string) string { return strings.TrimRight(name, "0123456789>") }

func (b *bindings) bind(name, value string) error {
	if old, ok := b.value[name]; ok && old != value {
		return fmt.Errorf("%s is %q, was %q", name, value, old)
	}
	key := kindOf(name) + "\x00" + value
	if old, ok := b.name[key]; ok && old != name {
		return fmt.Errorf("%q is %s, was %s", value, name, old)
	}
	b.value[name], b.name[key] = value, name
	return nil
}

// fill puts values for placeholders into something to be sent. It reports
// whether all were known.
func (b *bindings) fill(v any, extra map[string]any) (any, bool) {
	switch v := v.(type) {
	case map[string]any:
		out, all := object{}, true
		for k, x := range v {
			y, ok := b.fill(x, extra)
			out[k], all = y, all && ok
		}
		return out, all
	case []any:
		out, all := make([]any, len(v)), true
		for i, x := range v {
			y, ok := b.fill(x, extra)
			out[i], all = y, all && ok
		}
		return out, all
	case string:
		if x, ok := extra[v]; ok {
			return x, true
		}
		all := true
		return placeholder.ReplaceAllStringFunc(v, func(p string) string {
			if x, ok := b.value[p]; ok {
				return x
			}
			if x, ok := extra[p].(string); ok {
				return x
			}
			all = false
			return p
		}), all
	}
	return v, true
}

// match compares what was recorded with what came, and binds placeholders.
func (b *bindings) match(want, got any, path string) error {
	switch want := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return fmt.Errorf("%s: got %s, want an object", path, show(got))
		}
		return b.matchObject(want, g, path)
	case []any:
		g, ok := got.([]any)
		if !ok && got != nil || len(g) != len(want) {
			return fmt.Errorf("%s: got %s, want %s", path, show(got), show(want))
		}
		for i := range want {
			if err := b.match(want[i], g[i], fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
		return nil
	case string:
		return b.matchString(want, got, path)
	}
	if show(want) != show(got) {
		return fmt.Errorf("%s: got %s, want %s", path, show(got), show(want))
	}
	return nil
}

func (b *bindings) matchObject(want, got object, path string) error {
	keys := map[string]bool{}
	for k, v := range want {
		if !emptyList(v) {
			keys[k] = true
		}
	}
	for k, v := range got {
		if !emptyList(v) {
			keys[k] = true
		}
	}
	sorted := make([]string, 0, len(keys))
	for k := range keys {
		sorted = append(sorted, k)
	}
	sort.Strings(sorted)
	for _, k := range sorted {
		w, inWant := want[k]
		g, inGot := got[k]
		switch {
		case !inWant:
			return fmt.Errorf("%s.%s: got %s, want nothing", path, k, show(g))
		case !inGot:
			return fmt.Errorf("%s.%s: got nothing, want %s", path, k, show(w))
		}
		if err := b.match(w, g, path+"."+k); err != nil {
			return err
		}
	}
	return nil
}

func emptyList(v any) bool { l, ok := v.([]any); return ok && len(l) == 0 }

func (b *bindings) matchString(want string, got any, path string) error {
	found := placeholder.FindAllStringIndex(want, -1)
	if len(found) == 0 || got == want {
		if got != want {
			return fmt.Errorf("%s: got %s, want %q", path, show(got), want)
		}
		return nil
	}
	// A whole placeholder without a number may stand for anything.
	if found[0][0] == 0 && found[0][1] == len(want) && !strings.ContainsAny(want, "0123456789") {
		if got == nil {
			return fmt.Errorf("%s: got nothing, want %s", path, want)
		}
		return nil
	}
	g, ok := got.(string)
	if !ok {
		return fmt.Errorf("%s: got %s, want %q", path, show(got), want)
	}
	var pattern strings.Builder
	var names []string
	at := 0
	for _, f := range found {
		pattern.WriteString(regexp.QuoteMeta(want[at:f[0]]))
		names = append(names, want[f[0]:f[1]])
		pattern.WriteString(`(.+?)`)
		at = f[1]
	}
	pattern.WriteString(regexp.QuoteMeta(want[at:]))
	m := regexp.MustCompile(`(?s)^` + pattern.String() + `$`).FindStringSubmatch(g)
	if m == nil {
		return fmt.Errorf("%s: got %q, want %q", path, g, want)
	}
	for i, name := range names {
		if strings.ContainsAny(name, "0123456789") {
			if err := b.bind(name, m[i+1]); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
	}
	return nil
}

func show(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
