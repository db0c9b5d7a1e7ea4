package mesostest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/gogo/protobuf/proto"
	mesosmaster "github.com/mesos/mesos-go/api/v1/lib/master"
)

// The JSON of Mesos is not that of mesos-go: field names are those of the
// protocol buffers, 64 bit integers are numbers, an enumerator that nobody
// knows counts as not set, and required fields are checked. So this file
// converts by the field tags of the generated types.

// field is what a struct field's protobuf tag says.
type field struct {
	index    int
	name     string
	required bool
	enum     string
}

var fieldCache sync.Map // reflect.Type to []field

func fieldsOf(t reflect.Type) []field {
	if fs, ok := fieldCache.Load(t); ok {
		return fs.([]field)
	}
	var fs []field
	for i := range t.NumField() {
		tag, ok := t.Field(i).Tag.Lookup("protobuf")
		if !ok {
			continue
		}
		f := field{index: i}
		for part := range strings.SplitSeq(tag, ",") {
			switch {
			case part == "req":
				f.required = true
			case strings.HasPrefix(part, "name="):
				f.name = part[len("name="):]
			case strings.HasPrefix(part, "enum="):
				f.enum = part[len("enum="):]
			}
		}
		fs = append(fs, f)
	}
	fieldCache.Store(t, fs)
	return fs
}

// parseJSON reads one JSON value; errors are worded as Mesos words them.
func parseJSON(body []byte) (any, error) {
	var v any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	err := d.Decode(&v)
	if err == nil {
		return v, nil
	}
	at := len(body)
	var bad *json.SyntaxError
	if errors.As(err, &bad) && bad.Offset > 0 {
		at = int(bad.Offset) - 1
	}
	rest, _, _ := strings.Cut(string(body[at:]), "\n")
	return nil, fmt.Errorf("Failed to parse body into JSON: syntax error at line %d near: %s", 1+bytes.Count(body[:at], []byte("\n")), rest)
}

// fromJSON fills a message of the given Mesos name from a parsed value.
func fromJSON(v any, msg any, name string) error {
	object, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("Failed to convert JSON into %s protobuf: Expecting a JSON object", name)
	}
	var missing []string
	if err := setMessage(reflect.ValueOf(msg).Elem(), object, "", &missing); err != nil {
		return fmt.Errorf("Failed to convert JSON into %s protobuf: %w", name, err)
	}
	if len(missing) > 0 {
		return fmt.Errorf("Failed to convert JSON into %s protobuf: Missing required fields: %s", name, strings.Join(missing, ", "))
	}
	return nil
}

func setMessage(dst reflect.Value, object map[string]any, path string, missing *[]string) error {
	for _, f := range fieldsOf(dst.Type()) {
		v, ok := object[f.name]
		set := false
		if ok && v != nil {
			var err error
			if set, err = setField(dst.Field(f.index), v, f, path+f.name, missing); err != nil {
				return err
			}
		}
		if f.required && !set {
			*missing = append(*missing, path+f.name)
		}
	}
	return nil
}

// setField sets one field; it reports whether there was something to set.
func setField(dst reflect.Value, v any, f field, path string, missing *[]string) (bool, error) {
	switch {
	case dst.Kind() == reflect.Pointer:
		elem := reflect.New(dst.Type().Elem())
		set, err := setField(elem.Elem(), v, f, path, missing)
		if set {
			dst.Set(elem)
		}
		return set, err
	case dst.Kind() == reflect.Slice && dst.Type().Elem().Kind() != reflect.Uint8,
		dst.Kind() == reflect.Slice && f.enum != "":
		list, ok := v.([]any)
		if !ok {
			return false, unexpected(v, f)
		}
		for i, item := range list {
			elem := reflect.New(dst.Type().Elem()).Elem()
			set, err := setField(elem, item, f, fmt.Sprintf("%s[%d]", path, i), missing)
			if err != nil {
				return false, err
			}
			if set {
				dst.Set(reflect.Append(dst, elem))
			}
		}
		return true, nil
	case dst.Kind() == reflect.Struct:
		object, ok := v.(map[string]any)
		if !ok {
			return false, unexpected(v, f)
		}
		return true, setMessage(dst, object, path+".", missing)
	case dst.Kind() == reflect.Map:
		return setMap(dst, v, f, path, missing)
	}
	return setScalar(dst, v, f)
}

func setMap(dst reflect.Value, v any, f field, path string, missing *[]string) (bool, error) {
	object, ok := v.(map[string]any)
	if !ok {
		return false, unexpected(v, f)
	}
	dst.Set(reflect.MakeMap(dst.Type()))
	for key, item := range object {
		elem := reflect.New(dst.Type().Elem()).Elem()
		if _, err := setField(elem, item, f, path+"."+key, missing); err != nil {
			return false, err
		}
		dst.SetMapIndex(reflect.ValueOf(key), elem)
	}
	return true, nil
}

func setScalar(dst reflect.Value, v any, f field) (bool, error) {
	switch v := v.(type) {
	case string:
		switch {
		case f.enum != "":
			n, ok := proto.EnumValueMap(f.enum)[v]
			if ok {
				dst.SetInt(int64(n))
			}
			return ok, nil // one that nobody knows counts as not set
		case dst.Kind() == reflect.String:
			dst.SetString(v)
			return true, nil
		case dst.Kind() == reflect.Slice:
			b, err := base64.StdEncoding.DecodeString(v)
			if err != nil {
				return false, fmt.Errorf("Failed to base64 decode bytes field '%s': %w", f.name, err)
			}
			dst.SetBytes(b)
			return true, nil
		}
		return setNumber(dst, v, f)
	case bool:
		if dst.Kind() != reflect.Bool {
			return false, unexpected(v, f)
		}
		dst.SetBool(v)
		return true, nil
	case json.Number:
		return setNumber(dst, v.String(), f)
	}
	return false, unexpected(v, f)
}

func setNumber(dst reflect.Value, s string, f field) (bool, error) {
	bad := fmt.Errorf("Not expecting the number '%s' for field '%s'", s, f.name)
	switch dst.Kind() {
	case reflect.Float32, reflect.Float64:
		n, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return false, bad
		}
		dst.SetFloat(n)
	case reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			x, err := strconv.ParseFloat(s, 64)
			if err != nil || math.Abs(x) >= 1<<63 {
				return false, bad
			}
			n = int64(x)
		}
		if dst.OverflowInt(n) {
			return false, bad
		}
		dst.SetInt(n)
	case reflect.Uint32, reflect.Uint64:
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			x, err := strconv.ParseFloat(s, 64)
			if err != nil || x < 0 || x >= 1<<64 {
				return false, bad
			}
			n = uint64(x)
		}
		if dst.OverflowUint(n) {
			return false, bad
		}
		dst.SetUint(n)
	default:
		return false, fmt.Errorf("Not expecting a JSON number for field '%s'", f.name)
	}
	return true, nil
}

func unexpected(v any, f field) error {
	kind := "null"
	switch v.(type) {
	case string:
		kind = "string"
	case bool:
		kind = "boolean"
	case json.Number:
		kind = "number"
	case []any:
		kind = "array"
	case map[string]any:
		kind = "object"
	}
	return fmt.Errorf("Not expecting a JSON %s for field '%s'", kind, f.name)
}

// toJSON writes a message as Mesos does.
func toJSON(msg any) []byte {
	return appendMessage(nil, reflect.Indirect(reflect.ValueOf(msg)))
}

func appendMessage(b []byte, v reflect.Value) []byte {
	b = append(b, '{')
	first := true
	for _, f := range fieldsOf(v.Type()) {
		fv := v.Field(f.index)
		if absent(fv, f) {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, '"')
		b = append(b, f.name...)
		b = append(b, '"', ':')
		b = appendValue(b, fv, f)
		if f.name == "agent_info" && v.Type() == registeredAgent {
			b = append(b[:len(b)-1], `,"checkpoint":true}`...)
		}
	}
	return append(b, '}')
}

// registeredAgent is an agent as a master tells operators of it: its AgentInfo
// has the field checkpoint, which mesos-go lacks. Every agent of Mesos 1.12
// registers with it, and its executors do not see it.
var registeredAgent = reflect.TypeFor[mesosmaster.Response_GetAgents_Agent]()

// absent reports whether a field is not set. A field that is not a pointer and
// not required counts as set when it is not zero.
func absent(v reflect.Value, f field) bool {
	switch v.Kind() {
	case reflect.Pointer:
		return v.IsNil()
	case reflect.Slice, reflect.Map:
		return v.Len() == 0 && !(f.required && v.Type().Elem().Kind() == reflect.Uint8)
	}
	return !f.required && v.IsZero()
}

func appendValue(b []byte, v reflect.Value, f field) []byte {
	switch v.Kind() {
	case reflect.Pointer:
		return appendValue(b, v.Elem(), f)
	case reflect.Struct:
		return appendMessage(b, v)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			b = append(b, '"')
			b = base64.StdEncoding.AppendEncode(b, v.Bytes())
			return append(b, '"')
		}
		b = append(b, '[')
		for i := range v.Len() {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendValue(b, v.Index(i), f)
		}
		return append(b, ']')
	case reflect.Map:
		return appendMap(b, v, f)
	case reflect.Float32, reflect.Float64:
		return appendFloat(b, v.Float())
	case reflect.Uint32, reflect.Uint64:
		return strconv.AppendUint(b, v.Uint(), 10)
	case reflect.Bool:
		return strconv.AppendBool(b, v.Bool())
	case reflect.String:
		s, _ := json.Marshal(v.String()) // a string always has a form
		return append(b, s...)
	}
	if f.enum != "" {
		return strconv.AppendQuote(b, enumName(v, f))
	}
	return strconv.AppendInt(b, v.Int(), 10)
}

// newer are enumerators that Mesos has and mesos-go lacks.
var newer = map[string]map[int64]string{
	"mesos.MasterInfo_Capability_Type": {3: "QUOTA_V2"},
}

func enumName(v reflect.Value, f field) string {
	if name, ok := newer[f.enum][v.Int()]; ok {
		return name
	}
	if s, ok := v.Interface().(fmt.Stringer); ok {
		return s.String()
	}
	return strconv.FormatInt(v.Int(), 10)
}

func appendMap(b []byte, v reflect.Value, f field) []byte {
	keys := make([]string, 0, v.Len())
	for _, k := range v.MapKeys() {
		keys = append(keys, k.String())
	}
	slices.Sort(keys)
	b = append(b, '{')
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		s, _ := json.Marshal(k)
		b = append(append(b, s...), ':')
		b = appendValue(b, v.MapIndex(reflect.ValueOf(k)), f)
	}
	return append(b, '}')
}

// appendFloat writes a double so that it stays one: 4.0, not 4.
func appendFloat(b []byte, x float64) []byte {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return append(b, "null"...)
	}
	at := len(b)
	b = strconv.AppendFloat(b, x, 'f', -1, 64)
	if !bytes.ContainsRune(b[at:], '.') {
		b = append(b, ".0"...)
	}
	return b
}
