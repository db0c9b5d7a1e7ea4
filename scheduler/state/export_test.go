package state_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/mesokit/mesokit/scheduler/state"
)

var quiet = slog.New(slog.DiscardHandler)

func TestExportThenImport(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, value, line string
	}{
		{"json", `{"a":[1,2.50,"<&>"]}`, `{"key":"k","version":3,"json":{"a":[1,2.50,"<&>"]}}`},
		{"json null", `null`, `{"key":"k","version":3,"json":null}`},
		{"json number", `1e3`, `{"key":"k","version":3,"json":1e3}`},
		{"json with spaces is text", `{"a": 1}`, `{"key":"k","version":3,"text":"{\"a\": 1}"}`},
		{"text", "two\nlines <é>", `{"key":"k","version":3,"text":"two\nlines <é>"}`},
		{"line separator", "\"\u2028\"", ""},
		{"empty", "", `{"key":"k","version":3,"text":""}`},
		{"binary", "\xff\x00", `{"key":"k","version":3,"base64":"/wA="}`},
		{"json of invalid UTF-8", "\"\xff\"", `{"key":"k","version":3,"base64":"Iv8i"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			records := []state.Record{{Key: "k", Version: 3, Value: []byte(c.value)}}
			var out bytes.Buffer
			if err := state.Export(&out, records, nil); err != nil {
				t.Fatal(err)
			}
			if c.line != "" && out.String() != c.line+"\n" {
				t.Errorf("got  %swant %s", out.String(), c.line)
			}
			got, secrets, err := state.Import(&out)
			if err != nil || len(secrets) > 0 || !reflect.DeepEqual(got, records) {
				t.Errorf("Import: got %+v, secrets %q, error %v; want %+v", got, secrets, err, records)
			}
		})
	}
}

func TestExportKeepsSecretsApart(t *testing.T) {
	t.Parallel()
	secret := func(key string) bool { return strings.HasPrefix(key, "secret/") }
	records := []state.Record{
		{Key: "a", Value: []byte("1")},
		{Key: "secret/keystore", Version: 1, Value: []byte("hunter2")},
	}
	var out bytes.Buffer
	if err := state.Export(&out, records, secret); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "hunter2") {
		t.Errorf("the secret is in the export: %s", &out)
	}
	got, secrets, err := state.Import(&out)
	if err != nil || len(got) != 1 || got[0].Key != "a" || !reflect.DeepEqual(secrets, []string{"secret/keystore"}) {
		t.Errorf("Import: got %v, secrets %q, error %v", got, secrets, err)
	}
}

func TestImportRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, input, want string }{
		{"no JSON", "\n{\"key\":\"a\",\"text\":\"\"}\nx", "line 3: invalid character 'x'"},
		{"unknown field", `{"key":"a","txt":"b"}`, `line 1: json: unknown field "txt"`},
		{"no value", `{"key":"a"}`, `line 1: key "a" has 0 values; want one of json, text and base64`},
		{"two values", `{"key":"a","json":1,"text":"1"}`, `key "a" has 2 values`},
		{"secret with value", `{"key":"a","text":"b","secret":true}`, `key "a" is marked secret and has a value`},
		{"bad key", `{"text":"b"}`, `line 1: record 1 of 1: key "" is empty`},
		{"same key twice", "{\"key\":\"a\",\"text\":\"1\"}\n{\"key\":\"a\",\"text\":\"2\"}\n", `line 2: key "a" is on line 1 already`},
		{"two on a line", `{"key":"a","text":"1"} {"key":"b","text":"1"}`, "line 1: more than one JSON value on the line"},
		{"version too big", `{"key":"a","text":"1","version":4294967296}`, "line 1: json: cannot unmarshal number 4294967296"},
		{"bad base64", `{"key":"a","base64":"!"}`, "line 1: illegal base64 data"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			records, secrets, err := state.Import(strings.NewReader(c.input))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want %q", err, c.want)
			}
			if records != nil || secrets != nil {
				t.Errorf("got %v and %q beside the error", records, secrets)
			}
		})
	}
}

func TestExportReportsTheWriter(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	full := errors.New("no space")
	r.CloseWithError(full)
	if err := state.Export(w, []state.Record{{Key: "a", Value: []byte("1")}}, nil); !errors.Is(err, full) {
		t.Errorf("got error %v, want %v", err, full)
	}
	if _, _, err := state.Import(r); err == nil {
		t.Error("Import: got no error from a reader that fails")
	}
}

func FuzzImport(f *testing.F) {
	f.Add([]byte(`{"key":"a","version":1,"json":{"b":[]}}`))
	f.Add([]byte("{\"key\":\"a\",\"text\":\"1\"}\n\n{\"key\":\"b\",\"secret\":true}\n"))
	f.Add([]byte(`{"key":"a","base64":"/wA="}`))
	f.Fuzz(func(t *testing.T, input []byte) {
		records, _, err := state.Import(bytes.NewReader(input))
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := state.Export(&out, records, nil); err != nil {
			t.Fatalf("Export of what was imported: %v", err)
		}
		again, _, err := state.Import(&out)
		if err != nil || !reflect.DeepEqual(again, records) {
			t.Fatalf("got %v, error %v; want %v", again, err, records)
		}
	})
}
