package constraints

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// form is how rules were written, and so how they are printed.
type form uint8

const (
	formFlat    form = iota // hostname:UNIQUE,rack:GROUP_BY:2
	formLists               // [["hostname","UNIQUE"]]
	formObjects             // [{"fieldName":"hostname","operator":"UNIQUE"}]
	formMap                 // hostname=unique,rack=groupBy:2
)

// Parse compiles rules that are written in Marathon's dialect: as in
// "hostname:UNIQUE", "rack:GROUP_BY:2", several of them separated by commas, or
// as JSON. All must hold. An error names the text and what would be right.
func Parse(texts ...string) (Rules, error) { return Marathon.Parse(texts...) }

// MustParse is [Parse] for rules that are written in the program; it panics if
// they are wrong.
func MustParse(texts ...string) Rules {
	r, err := Parse(texts...)
	if err != nil {
		panic(err)
	}
	return r
}

// Parse compiles rules that are written in the dialect. See the package
// documentation for the forms that each dialect reads.
func (d Dialect) Parse(texts ...string) (Rules, error) {
	if int(d) >= len(dialectNames) {
		return Rules{}, fmt.Errorf("constraint dialect %d is unknown; the dialects are %s", d, strings.Join(dialectNames[:], ", "))
	}
	out := Rules{dialect: d, form: formFlat}
	if d == Kafka {
		out.form = formMap
	}
	first := true
	for _, text := range texts {
		r, err := d.parse(text)
		if err != nil {
			return Rules{}, fmt.Errorf("constraint %q: %w", text, err)
		}
		if r.IsZero() {
			continue
		}
		if first {
			out.form, first = r.form, false
		} else if out.form != r.form {
			out.form = formLists
		}
		out.hard = append(out.hard, r.hard...)
		out.soft = append(out.soft, r.soft...)
	}
	return out, nil
}

func (d Dialect) parse(text string) (Rules, error) {
	trimmed := strings.TrimSpace(text)
	switch {
	case !utf8.ValidString(text):
		return Rules{}, errors.New("not UTF-8")
	case trimmed == "" || trimmed == "null":
		return Rules{dialect: d}, nil
	case trimmed[0] == '[' || trimmed[0] == '{':
		return d.parseJSON(trimmed)
	case d == Kafka:
		exprs, err := d.parseMap(text)
		return Rules{dialect: d, form: formMap, hard: exprs}, err
	default:
		exprs, err := d.parseFlat(text)
		return Rules{dialect: d, form: formFlat, hard: exprs}, err
	}
}

// parseFlat reads rows as Marathon's web page and dcos-commons write them.
func (d Dialect) parseFlat(text string) ([]expr, error) {
	var out []expr
	for _, part := range splitEscaped(text, ',') {
		r, err := d.row(splitEscaped(part, ':'))
		if err != nil {
			if strings.Contains(text, ",") || strings.Count(text, ":") > 2 {
				return nil, fmt.Errorf(`row %q: %w (a comma or colon inside a value is written \, or \:)`, part, err)
			}
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// splitEscaped cuts at each separator that has no backslash before it and trims
// the pieces. Only a backslash before the separator is taken away.
func splitEscaped(s string, separator byte) []string {
	var out []string
	var piece []byte
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			if s[i] != separator {
				piece = append(piece, '\\')
			}
			piece = append(piece, s[i])
		case s[i] == separator:
			out = append(out, strings.TrimSpace(string(piece)))
			piece = piece[:0]
		default:
			piece = append(piece, s[i])
		}
	}
	return append(out, strings.TrimSpace(string(piece)))
}

// row compiles a field, an operator and perhaps a value.
func (d Dialect) row(row []string) (*rule, error) {
	if len(row) < 2 || len(row) > 3 {
		return nil, fmt.Errorf("%d parts, want a field, an operator and at most one value", len(row))
	}
	o, err := d.operator(row[1])
	if err != nil {
		return nil, err
	}
	if len(row) == 2 {
		return d.compile(row[0], o, row[1], "", false)
	}
	return d.compile(row[0], o, row[1], row[2], true)
}

// parseMap reads mesos/kafka's form. A backslash makes the next character
// literal, in the field and in the constraint.
func (d Dialect) parseMap(text string) ([]expr, error) {
	entries, err := splitLiteral(text, ',', false)
	if err != nil {
		return nil, err
	}
	var out []expr
	for _, entry := range entries {
		pair, err := splitLiteral(entry, '=', true)
		if err != nil {
			return nil, err
		}
		if len(pair) != 2 {
			return nil, fmt.Errorf(`%q is not field=constraint (a comma or = inside a value is written \, or \=)`, entry)
		}
		r, err := d.condition(strings.TrimSpace(pair[0]), strings.TrimSpace(pair[1]))
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// splitLiteral cuts at each separator that has no backslash before it, and on
// request takes the backslashes away. As in mesos/kafka an empty last piece is
// dropped.
func splitLiteral(s string, separator byte, unescape bool) ([]string, error) {
	var out []string
	var piece []byte
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			if i+1 == len(s) {
				return nil, errors.New("nothing follows the last backslash")
			}
			if !unescape {
				piece = append(piece, '\\')
			}
			i++
			piece = append(piece, s[i])
		case s[i] == separator:
			out = append(out, string(piece))
			piece = piece[:0]
		default:
			piece = append(piece, s[i])
		}
	}
	if len(piece) > 0 {
		out = append(out, string(piece))
	}
	return out, nil
}

// condition compiles mesos/kafka's right-hand side, such as like:a.* or
// groupBy:2. It takes whatever begins with cluster or groupBy for that word, as
// mesos/kafka does.
func (d Dialect) condition(field, text string) (*rule, error) {
	word, value, hasValue := strings.Cut(text, ":")
	if !hasValue {
		for _, prefix := range []op{opCluster, opGroupBy} {
			if strings.HasPrefix(word, kafkaNames[prefix]) {
				word = kafkaNames[prefix]
			}
		}
	}
	o, err := d.operator(word)
	if err != nil {
		return nil, err
	}
	return d.compile(field, o, word, value, hasValue)
}

// parseJSON reads Marathon's lists and objects, and our trees.
func (d Dialect) parseJSON(text string) (Rules, error) {
	out := Rules{dialect: d, form: formLists}
	if text[0] == '{' {
		out.form = formObjects
		return out, d.element(&out, json.RawMessage(text))
	}
	var elements []json.RawMessage
	if err := decode([]byte(text), &elements); err != nil {
		return Rules{}, err
	}
	if len(elements) > 0 && elements[0][0] == '"' {
		if d != DCOS {
			return Rules{}, fmt.Errorf("a list of texts; want a list of lists, such as [%s]", text)
		}
		r, err := d.list(json.RawMessage(text))
		if err != nil {
			return Rules{}, err
		}
		out.hard = []expr{r}
		return out, nil
	}
	if len(elements) > 0 && elements[0][0] == '{' {
		out.form = formObjects
	}
	for _, raw := range elements {
		if err := d.element(&out, raw); err != nil {
			return Rules{}, err
		}
	}
	return out, nil
}

// decode reads exactly one JSON value.
func decode(data []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("not the JSON of constraints: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("not the JSON of constraints: something follows the closing bracket")
	}
	return nil
}

// object is a constraint of a Marathon pod, or a branch of a tree.
type object struct {
	FieldName *string `json:"fieldName,omitempty"`
	Operator  *string `json:"operator,omitempty"`
	Value     *string `json:"value,omitempty"`
	// Dialect of the constraint, if it is not that of what stands around it.
	Dialect *Dialect `json:"dialect,omitempty"`

	All    []json.RawMessage `json:"all,omitempty"`
	Any    []json.RawMessage `json:"any,omitempty"`
	Not    json.RawMessage   `json:"not,omitempty"`
	Prefer json.RawMessage   `json:"prefer,omitempty"`
	Weight *int              `json:"weight,omitempty"`
}

// element adds one element of a list at the top, where preferences may stand.
func (d Dialect) element(out *Rules, raw json.RawMessage) error {
	if raw[0] != '{' {
		e, err := d.tree(raw)
		if err != nil {
			return err
		}
		out.hard = append(out.hard, e)
		return nil
	}
	var o object
	if err := decode(raw, &o); err != nil {
		return err
	}
	switch {
	case o.Prefer != nil:
		return d.preference(out, &o)
	case o.All != nil && o.branches() == 1:
		for _, kid := range o.All {
			if err := d.element(out, kid); err != nil {
				return err
			}
		}
		return nil
	}
	e, err := d.branch(&o)
	if err != nil {
		return err
	}
	out.hard = append(out.hard, e)
	return nil
}

// branches counts what an object says; one of them is right.
func (o *object) branches() int {
	n := 0
	for _, said := range []bool{
		o.FieldName != nil || o.Operator != nil || o.Value != nil || o.Dialect != nil,
		o.All != nil, o.Any != nil, o.Not != nil, o.Prefer != nil,
	} {
		if said {
			n++
		}
	}
	return n
}

func (d Dialect) preference(out *Rules, o *object) error {
	if o.branches() != 1 {
		return errors.New(`"prefer" stands alone or with "weight"`)
	}
	e, err := d.tree(o.Prefer)
	if err != nil {
		return err
	}
	weight := 1
	if o.Weight != nil {
		weight = *o.Weight
	}
	out.soft = append(out.soft, preference{weight, e})
	return nil
}

// tree reads a constraint inside a tree: a list, an object, or a text in the
// dialect's own form.
func (d Dialect) tree(raw json.RawMessage) (expr, error) {
	switch raw[0] {
	case '[':
		return d.list(raw)
	case '{':
		var o object
		if err := decode(raw, &o); err != nil {
			return nil, err
		}
		return d.branch(&o)
	case '"':
		var text string
		if err := decode(raw, &text); err != nil {
			return nil, err
		}
		exprs, err := d.text(text)
		if err != nil {
			return nil, err
		}
		return conjunction(exprs), nil
	}
	return nil, fmt.Errorf("%s is no constraint; want a list, an object or a text", raw)
}

func (d Dialect) text(text string) ([]expr, error) {
	if d == Kafka {
		return d.parseMap(text)
	}
	return d.parseFlat(text)
}

func (d Dialect) branch(o *object) (expr, error) {
	if n := o.branches(); n != 1 || o.Weight != nil {
		return nil, errors.New(`an object has fieldName and operator (and value), or one of "all", "any" and "not"; "prefer" with "weight" only at the top`)
	}
	switch {
	case o.Not != nil:
		e, err := d.tree(o.Not)
		return not{e}, err
	case o.All != nil:
		kids, err := d.trees(o.All)
		return all(kids), err
	case o.Any != nil:
		kids, err := d.trees(o.Any)
		return anyOf(kids), err
	case o.Prefer != nil:
		return nil, errors.New(`"prefer" stands only at the top: inside a tree there is nothing to rank`)
	}
	if o.FieldName == nil || o.Operator == nil {
		return nil, errors.New("an object needs fieldName and operator")
	}
	row := []string{*o.FieldName, *o.Operator}
	if o.Value != nil {
		row = append(row, *o.Value)
	}
	if o.Dialect != nil {
		d = *o.Dialect
	}
	return d.pair(row)
}

func (d Dialect) trees(raws []json.RawMessage) ([]expr, error) {
	var out []expr
	for _, raw := range raws {
		e, err := d.tree(raw)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// list reads a row. dcos-commons takes numbers for texts, Marathon does not.
func (d Dialect) list(raw json.RawMessage) (expr, error) {
	var elements []json.RawMessage
	if err := decode(raw, &elements); err != nil {
		return nil, err
	}
	row := make([]string, len(elements))
	for i, e := range elements {
		if e[0] != '"' {
			if d != DCOS || e[0] != '-' && (e[0] < '0' || e[0] > '9') {
				return nil, fmt.Errorf("%s in a row; want a text in quotes", e)
			}
			row[i] = string(e)
			continue
		}
		if err := decode(e, &row[i]); err != nil {
			return nil, err
		}
	}
	return d.pair(row)
}

// pair compiles a row that came as JSON. In the Kafka dialect, which had no such
// rows of its own, Marathon's words stand for its own.
func (d Dialect) pair(row []string) (expr, error) {
	var r *rule
	var err error
	if d == Kafka && len(row) > 1 {
		if o, err := Marathon.operator(row[1]); err == nil && kafkaNames[o] != "" {
			row[1] = kafkaNames[o]
		}
	}
	if d == Kafka && len(row) == 2 {
		r, err = d.condition(row[0], row[1])
	} else {
		r, err = d.row(row)
	}
	if err != nil {
		return nil, fmt.Errorf("row %q: %w", row, err)
	}
	return r, nil
}
