package constraints

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// String prints the rules in the form in which they were written, so that
// parsing it again in the same dialect gives equal rules. A tree, a preference
// and what combines several dialects is printed as JSON.
func (r Rules) String() string {
	if r.IsZero() {
		return ""
	}
	var rows []*rule
	for _, e := range r.hard {
		if leaf, ok := e.(*rule); ok {
			rows = append(rows, leaf)
		}
	}
	if len(r.soft) > 0 || len(rows) < len(r.hard) || r.mixed() {
		return toJSON(r.tree())
	}
	switch r.form {
	case formFlat, formMap:
		texts := make([]string, len(rows))
		for i, row := range rows {
			text, ok := row.text()
			if !ok {
				return toJSON(lists(rows))
			}
			texts[i] = text
		}
		return strings.Join(texts, ",")
	case formObjects:
		objects := make([]any, len(rows))
		for i, row := range rows {
			objects[i] = row.object()
		}
		return toJSON(objects)
	}
	return toJSON(lists(rows))
}

// mixed reports whether some rules are in another dialect than the whole.
func (r Rules) mixed() bool {
	found := false
	r.rules(func(rule *rule) { found = found || rule.dialect != r.dialect })
	return found
}

// written is the JSON of rules in a dialect other than Marathon's.
type written struct {
	Dialect Dialect         `json:"dialect"`
	Rules   json.RawMessage `json:"rules"`
}

// MarshalJSON writes the rules as the text that [Rules.String] prints; those of
// another dialect than Marathon's as an object with the dialect and the text.
func (r Rules) MarshalJSON() ([]byte, error) {
	text, err := json.Marshal(r.String())
	if err != nil || r.dialect == Marathon {
		return text, err
	}
	return json.Marshal(written{r.dialect, text})
}

// UnmarshalJSON reads what MarshalJSON writes. In place of the text there may be
// a list of texts, or the JSON of constraints itself.
func (r *Rules) UnmarshalJSON(data []byte) error {
	w := written{Rules: data}
	if probe := (struct{ Dialect *string }{}); bytes.HasPrefix(data, []byte("{")) && json.Unmarshal(data, &probe) == nil && probe.Dialect != nil {
		w = written{}
		if err := decode(data, &w); err != nil {
			return err
		}
	}
	var texts []string
	if len(w.Rules) > 0 && w.Rules[0] == '"' {
		texts = make([]string, 1)
		if err := decode(w.Rules, &texts[0]); err != nil {
			return err
		}
	} else if json.Unmarshal(w.Rules, &texts) != nil {
		texts = []string{string(w.Rules)}
	}
	read, err := w.Dialect.Parse(texts...)
	if err == nil {
		*r = read
	}
	return err
}

// String prints the rule alone, as written.
func (r *rule) String() string {
	if r.op == opHome {
		return "home region " + r.value
	}
	if text, ok := r.text(); ok {
		return text
	}
	return toJSON(r.row())
}

// words are the field, the operator and the value if there is one.
func (r *rule) words() []string {
	out := []string{r.field, r.word}
	if r.hasValue {
		out = append(out, r.value)
	}
	return out
}

// row is the rule as an element of a JSON list.
func (r *rule) row() []string {
	if r.dialect != Kafka {
		return r.words()
	}
	return []string{r.field, strings.Join(r.words()[1:], ":")}
}

// text writes the rule in the form without JSON, if that form can say it.
func (r *rule) text() (string, bool) {
	if r.dialect == Kafka {
		text := escape(r.field, ",=\\") + "=" + escape(r.row()[1], ",=\\")
		read, err := r.dialect.parseMap(text)
		return text, err == nil && len(read) == 1 && slices.Equal(read[0].(*rule).words(), r.words())
	}
	words := r.words()
	for i := range words {
		words[i] = escape(words[i], ":")
	}
	text := escape(strings.Join(words, ":"), ",")
	if strings.HasPrefix(text, "[") || strings.HasPrefix(text, "{") {
		return text, false
	}
	parts := splitEscaped(text, ',')
	return text, len(parts) == 1 && slices.Equal(splitEscaped(parts[0], ':'), r.words())
}

// escape puts a backslash before each of the special characters.
func escape(s, special string) string {
	if !strings.ContainsAny(s, special) {
		return s
	}
	var b strings.Builder
	for _, c := range []byte(s) {
		if strings.IndexByte(special, c) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}

func (r *rule) object() object {
	o := object{FieldName: &r.field, Operator: &r.word}
	if r.hasValue {
		o.Value = &r.value
	}
	return o
}

func lists(rows []*rule) [][]string {
	out := make([][]string, len(rows))
	for i, row := range rows {
		out[i] = row.row()
	}
	return out
}

// tree is the JSON of rules that are more than rows.
func (r Rules) tree() any {
	var out []any
	for _, e := range r.hard {
		out = append(out, r.dialect.node(e))
	}
	for _, p := range r.soft {
		out = append(out, struct {
			Prefer any `json:"prefer"`
			Weight int `json:"weight"`
		}{r.dialect.node(p.expr), p.weight})
	}
	return out
}

// node is the JSON of an expression, inside what is in dialect d.
func (d Dialect) node(e expr) any {
	nodes := func(kids []expr) []any {
		out := make([]any, len(kids))
		for i, kid := range kids {
			out[i] = d.node(kid)
		}
		return out
	}
	switch e := e.(type) {
	case *rule:
		if e.dialect != d {
			o := e.object()
			o.Dialect = &e.dialect
			return o
		}
		return e.row()
	case all:
		return map[string]any{"all": nodes(e)}
	case anyOf:
		return map[string]any{"any": nodes(e)}
	case not:
		return map[string]any{"not": d.node(e.expr)}
	}
	return nil
}

// show is how an expression appears in a refusal.
func (d Dialect) show(e expr) string {
	if r, ok := e.(*rule); ok {
		return r.String()
	}
	return toJSON(d.node(e))
}

// toJSON writes what only holds texts, numbers, lists and maps of such.
func toJSON(v any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err.Error()
	}
	return strings.TrimSuffix(b.String(), "\n")
}
