package state

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// line is one record as people see it. One of JSON, Text and Base64 holds the
// value, the first of them that gives it back byte for byte; a secret has
// none.
type line struct {
	Key     string          `json:"key"`
	Version uint32          `json:"version,omitempty"`
	JSON    json.RawMessage `json:"json,omitempty"`
	Text    *string         `json:"text,omitempty"`
	Base64  []byte          `json:"base64,omitempty"`
	Secret  bool            `json:"secret,omitempty"`
}

// Export writes the records as JSON, one on each line. A record whose key is
// secret is named without its value; a nil function means that none is. To
// move a state with its secrets, export those records on their own, to a file
// that only their owner can read.
func Export(w io.Writer, records []Record, secret func(key string) bool) error {
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for _, r := range records {
		if err := Check([]Record{r}); err != nil {
			return fmt.Errorf("export state: %w", err)
		}
		if err := enc.Encode(lineOf(r, secret != nil && secret(r.Key))); err != nil {
			return fmt.Errorf("export state: record %q: %w", r.Key, err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("export state: %w", err)
	}
	return nil
}

func lineOf(r Record, secret bool) line {
	l := line{Key: r.Key, Version: r.Version, Secret: secret}
	switch {
	case secret:
	case isCompactJSON(r.Value):
		l.JSON = r.Value
	case utf8.Valid(r.Value):
		text := string(r.Value)
		l.Text = &text
	default:
		l.Base64 = r.Value
	}
	return l
}

// isCompactJSON says whether value passes through an encoder unchanged.
func isCompactJSON(value []byte) bool {
	var b bytes.Buffer
	return utf8.Valid(value) && json.Compact(&b, value) == nil && bytes.Equal(b.Bytes(), value)
}

// Import reads what [Export] wrote. It returns the records that have a value,
// and the keys of the secrets, which must come from elsewhere. Empty lines are
// skipped. An error names the line.
func Import(r io.Reader) (records []Record, secrets []string, err error) {
	in := bufio.NewReader(r)
	seen := map[string]int{}
	for n := 1; ; n++ {
		text, readErr := in.ReadBytes('\n')
		if readErr != nil && !errors.Is(readErr, io.EOF) {
			return nil, nil, fmt.Errorf("import state: line %d: %w", n, readErr)
		}
		if text = bytes.TrimSpace(text); len(text) > 0 {
			record, secret, err := parseLine(text)
			if err != nil {
				return nil, nil, fmt.Errorf("import state: line %d: %w", n, err)
			}
			if first, ok := seen[record.Key]; ok {
				return nil, nil, fmt.Errorf("import state: line %d: key %q is on line %d already", n, record.Key, first)
			}
			seen[record.Key] = n
			if secret {
				secrets = append(secrets, record.Key)
			} else {
				records = append(records, record)
			}
		}
		if readErr != nil {
			return records, secrets, nil
		}
	}
}

func parseLine(text []byte) (r Record, secret bool, err error) {
	var l line
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil {
		return r, false, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return r, false, errors.New("more than one JSON value on the line")
	}
	r = Record{Key: l.Key, Version: l.Version}
	if err := Check([]Record{r}); err != nil {
		return r, false, err
	}
	values := 0
	if l.JSON != nil {
		r.Value, values = l.JSON, values+1
	}
	if l.Text != nil {
		r.Value, values = []byte(*l.Text), values+1
	}
	if l.Base64 != nil {
		r.Value, values = l.Base64, values+1
	}
	switch {
	case l.Secret && values > 0:
		return r, false, fmt.Errorf("key %q is marked secret and has a value; want one or the other", l.Key)
	case !l.Secret && values != 1:
		return r, false, fmt.Errorf("key %q has %d values; want one of json, text and base64", l.Key, values)
	}
	return r, l.Secret, nil
}
