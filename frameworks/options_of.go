package frameworks

import (
	"bytes"
	"cmp"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"
)

// OptionsOf makes a Service of options that have a type: a struct that crosses as
// JSON, in which the tag help says in a line what a field is for.
//
//	type options struct {
//		Nodes int    `json:"nodes" help:"servers"`
//		Disk  int    `json:"disk" help:"MiB of each server's volume; it can only grow"`
//	}
type OptionsOf[T any] struct {
	// Given are those that the program was started with.
	Given T
	// Defaults hold for what a document of options leaves out, or an update sets
	// to null.
	Defaults T
	// Make makes the service of options. It is pure. An error names the field.
	Make func(o T) (*Service, error)
	// Check says why options must not follow upon others, with the name of the
	// field; nil error: they may. A pure function; nil: whatever loses no volume
	// and no identity may.
	Check func(d Deployment, from, to T) error
}

// Service is the service of the given options, which an Update changes. What
// cannot be of the options given is in its Invalid.
func (o OptionsOf[T]) Service() *Service {
	text, err := json.Marshal(o.Given)
	if err != nil {
		return &Service{Invalid: fmt.Errorf("options: %w", err)}
	}
	s, err := o.make(o.Given, text)
	if err != nil {
		return &Service{Options: text, Invalid: fmt.Errorf("options: %w", err)}
	}
	return s
}

// revise is the service's Revise.
func (o OptionsOf[T]) revise(options json.RawMessage) (*Service, error) {
	value, err := o.decode(options)
	if err != nil {
		return nil, err
	}
	return o.make(value, options)
}

func (o OptionsOf[T]) make(value T, text json.RawMessage) (*Service, error) {
	made, err := o.Make(value)
	if err != nil {
		return nil, err
	}
	s := *made
	s.Options, s.Revise, s.Schema = text, o.revise, schemaOf(o.Defaults)
	if o.Check != nil {
		s.Change = o.change
	}
	return &s, nil
}

func (o OptionsOf[T]) change(d Deployment, from, to json.RawMessage) error {
	was, err := o.decode(from)
	if err != nil {
		return nil // options that this program cannot read bind nobody
	}
	is, err := o.decode(to)
	if err != nil {
		return err
	}
	return o.Check(d, was, is)
}

// decode reads options strictly, over the defaults.
func (o OptionsOf[T]) decode(text json.RawMessage) (T, error) {
	var value T
	defaults, err := json.Marshal(o.Defaults) // a copy that shares nothing
	if err == nil {
		err = json.Unmarshal(defaults, &value)
	}
	if err != nil {
		return value, fmt.Errorf("defaults: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	err = decoder.Decode(&value)
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong):
		return value, fmt.Errorf("%s: %s: wants %s", wrong.Field, wrong.Value, kindOf(wrong.Type))
	case err != nil && strings.Contains(err.Error(), "unknown field"):
		var names []string
		for _, f := range schemaOf(o.Defaults) {
			names = append(names, f.Name)
		}
		_, field, _ := strings.Cut(err.Error(), "unknown field ")
		return value, fmt.Errorf("%s: there is no such option; there are %s", strings.Trim(field, `"`), strings.Join(names, ", "))
	case err != nil:
		return value, blame[T](text, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return value, errors.New("they go on after the object")
	}
	return value, nil
}

// blame puts the name of the field before an error that does not say it.
func blame[T any](text json.RawMessage, err error) error {
	var fields map[string]json.RawMessage
	if json.Unmarshal(text, &fields) != nil {
		return err
	}
	for _, name := range sortedKeys(fields) {
		alone, _ := json.Marshal(map[string]json.RawMessage{name: fields[name]}) // it was JSON before
		var value T
		if err := json.Unmarshal(alone, &value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return err
}

// Option describes one option of a service.
type Option struct {
	Name    string          `json:"name"` // with dots, where one is inside of another
	Type    string          `json:"type"`
	Help    string          `json:"help,omitempty"`
	Default json.RawMessage `json:"default,omitempty"`
	// Value is in force. It is set in answers only.
	Value json.RawMessage `json:"value,omitempty"`
}

// schemaOf describes the fields of a struct, with their values as defaults.
func schemaOf(defaults any) []Option {
	v := reflect.ValueOf(defaults)
	if v.Kind() != reflect.Struct {
		return nil
	}
	return fieldsOf("", v)
}

func fieldsOf(prefix string, v reflect.Value) []Option {
	var out []Option
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported() && !f.Anonymous:
			continue
		case name == "" && f.Anonymous && f.Type.Kind() == reflect.Struct:
			out = append(out, fieldsOf(prefix, v.Field(i))...)
			continue
		case name == "":
			name = f.Name
		}
		if inner := f.Type; inner.Kind() == reflect.Struct && !writesItself(inner) {
			out = append(out, fieldsOf(prefix+name+".", v.Field(i))...)
			continue
		}
		option := Option{Name: prefix + name, Type: kindOf(f.Type), Help: f.Tag.Get("help")}
		if text, err := json.Marshal(v.Field(i).Interface()); err == nil && string(text) != "null" {
			option.Default = text
		}
		out = append(out, option)
	}
	return out
}

// writesItself says whether a type has a form of its own in JSON.
func writesItself(t reflect.Type) bool {
	for _, i := range []reflect.Type{reflect.TypeFor[json.Marshaler](), reflect.TypeFor[encoding.TextMarshaler]()} {
		if t.Implements(i) || reflect.PointerTo(t).Implements(i) {
			return true
		}
	}
	return false
}

// kindOf calls a type as operators know it.
func kindOf(t reflect.Type) string {
	switch {
	case writesItself(t):
		return strings.ToLower(t.Name())
	case t.Kind() == reflect.Pointer:
		return kindOf(t.Elem())
	}
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "a list of " + kindOf(t.Elem())
	case reflect.Map:
		return "names with " + kindOf(t.Elem())
	case reflect.Struct:
		return "an object"
	case reflect.Interface:
		return "any JSON"
	}
	return "a whole number"
}

// OptionsReport is a service's options with what they can be.
type OptionsReport struct {
	OptionsStatus
	// Schema is empty where the program does not describe its options.
	Schema []Option `json:"schema,omitempty"`
}

// optionsReport is the answer to AskOptions.
func (d *decision) optionsReport() (OptionsReport, error) {
	status := d.optionsStatus()
	if status == nil {
		return OptionsReport{}, fmt.Errorf("options: %w: %s has none that can be changed while it runs", ErrUnknown, d.Name)
	}
	out := OptionsReport{OptionsStatus: *status}
	for _, o := range d.base.Schema {
		o.Value = valueAt(status.Target, o.Name)
		if o.Value == nil {
			o.Value = o.Default
		}
		out.Schema = append(out.Schema, o)
	}
	return out, nil
}

// valueAt finds an option in a document of options; nil: it is left out.
func valueAt(document json.RawMessage, name string) json.RawMessage {
	head, rest, inner := strings.Cut(name, ".")
	var fields map[string]json.RawMessage
	if json.Unmarshal(document, &fields) != nil {
		return nil
	}
	if !inner {
		return fields[head]
	}
	return valueAt(fields[head], rest)
}

// Duration is a duration among options, which is text in JSON: "30s".
type Duration time.Duration

// MarshalText writes it as [time.Duration] does: "1m30s".
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what [time.ParseDuration] takes.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// Ports is a port among options, or a range to choose from.
type Ports struct {
	Begin uint64 `json:"begin"`
	End   uint64 `json:"end"`
}

// PortsOf is the choice of a port; nil: any.
func PortsOf(p Port) *Ports {
	if p.End == 0 {
		return nil
	}
	return &Ports{p.Begin, p.End}
}

// Port is the inverse of PortsOf. Where the end is left out it is one port.
func (p *Ports) Port() Port {
	if p == nil {
		return Port{}
	}
	return Port{Begin: p.Begin, End: cmp.Or(p.End, p.Begin)}
}
