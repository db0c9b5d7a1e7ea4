package frameworks

import (
	"bytes"
	"encoding/json"
	"strings"
)

// merged is the document in force with what an update says: what the update
// leaves out stays as it is, and null takes an option's default again. An object
// is merged in its turn where the schema knows options inside of it, and else
// taken whole, as the settings of a server are, from which one may be removed.
// What is no object takes the place of all (RFC 7386, but for the schema).
func merged(inForce, update json.RawMessage, schema []Option) json.RawMessage {
	return mergedAt("", inForce, update, schema)
}

func mergedAt(path string, inForce, update json.RawMessage, schema []Option) json.RawMessage {
	said, is := fieldsIn(update)
	was, had := fieldsIn(inForce)
	if !is || !had || path != "" && !knowsInside(schema, path) {
		return update
	}
	for _, f := range said {
		f.name = spelled(schema, path, f.name)
		i := was.at(f.name)
		switch isNull := string(f.value) == "null"; {
		case isNull && i >= 0:
			was = append(was[:i], was[i+1:]...)
		case isNull:
		case i >= 0:
			was[i].value = mergedAt(path+f.name+".", was[i].value, f.value, schema)
		default:
			was = append(was, f)
		}
	}
	return was.document()
}

// changes is the update that makes one document of the other.
func changes(from, to json.RawMessage, schema []Option) json.RawMessage {
	return changesAt("", from, to, schema)
}

func changesAt(path string, from, to json.RawMessage, schema []Option) json.RawMessage {
	was, had := fieldsIn(from)
	is, has := fieldsIn(to)
	if !had || !has || path != "" && !knowsInside(schema, path) {
		return to
	}
	var out documentFields
	for _, f := range is {
		i := was.at(f.name)
		if i >= 0 && bytes.Equal(was[i].value, f.value) {
			continue
		}
		if i >= 0 {
			f.value = changesAt(path+f.name+".", was[i].value, f.value, schema)
		}
		out = append(out, f)
	}
	for _, f := range was {
		if is.at(f.name) < 0 {
			out = append(out, documentField{f.name, json.RawMessage("null")})
		}
	}
	return out.document()
}

// knowsInside says whether there are options inside of the object at a path,
// which ends with a dot.
func knowsInside(schema []Option, path string) bool {
	for _, o := range schema {
		if strings.HasPrefix(o.Name, path) {
			return true
		}
	}
	return false
}

// spelled is the name of a field as the schema has it: encoding/json does not
// tell upper from lower case, and one field must not be there twice.
func spelled(schema []Option, path, name string) string {
	for _, o := range schema {
		rest, inside := strings.CutPrefix(o.Name, path)
		if head, _, _ := strings.Cut(rest, "."); inside && strings.EqualFold(head, name) {
			return head
		}
	}
	return name
}

// documentFields are the fields of an object in the order in which they are
// written, so that a document in which nothing changes keeps its text.
type documentFields []documentField

type documentField struct {
	name  string
	value json.RawMessage // compact
}

// fieldsIn reads an object; false: it is none.
func fieldsIn(document json.RawMessage) (documentFields, bool) {
	decoder := json.NewDecoder(bytes.NewReader(document))
	if opening, err := decoder.Token(); err != nil || opening != json.Delim('{') {
		return nil, false
	}
	var out documentFields
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, false
		}
		var value json.RawMessage
		if decoder.Decode(&value) != nil {
			return nil, false
		}
		var compact bytes.Buffer
		if json.Compact(&compact, value) != nil {
			return nil, false
		}
		f := documentField{name.(string), compact.Bytes()}
		if i := out.at(f.name); i >= 0 { // of two of one name the last holds, as for encoding/json
			out[i] = f
		} else {
			out = append(out, f)
		}
	}
	return out, true
}

// at is the index of a field; -1: there is none.
func (f documentFields) at(name string) int {
	for i := range f {
		if f[i].name == name {
			return i
		}
	}
	return -1
}

func (f documentFields) document() json.RawMessage {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, field := range f {
		if i > 0 {
			out.WriteByte(',')
		}
		name, _ := json.Marshal(field.name) // a string
		out.Write(name)
		out.WriteByte(':')
		out.Write(field.value)
	}
	out.WriteByte('}')
	return out.Bytes()
}
