package recordio_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/internal/recordio"
)

// readAll returns copies of all the records of r and the error that ended them.
func readAll(r *recordio.Reader) ([]string, error) {
	var records []string
	for {
		record, err := r.Next()
		if err != nil {
			return records, err
		}
		records = append(records, string(record))
	}
}

func TestNext(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		stream  string
		limit   int
		want    []string
		wantErr string // part of the error; empty: io.EOF
		cut     bool   // the error wraps io.ErrUnexpectedEOF
	}{
		{name: "nothing"},
		{name: "several", stream: "5\nhello0\n3\nyes", want: []string{"hello", "", "yes"}},
		{name: "newlines and digits inside", stream: "4\n3\nab2\n\n\n", want: []string{"3\nab", "\n\n"}},
		{name: "leading zeros", stream: "003\nabc", want: []string{"abc"}},
		{name: "as large as the limit", stream: "3\nabc", limit: 3, want: []string{"abc"}},
		{name: "larger than the limit", stream: "1\na4\nabcd", limit: 3, want: []string{"a"}, wantErr: "record of 4 bytes is larger than the limit of 3"},
		{name: "larger than an int", stream: "99999999999999999999\n", wantErr: "record of 99999999999999999999 bytes is larger than the limit"},
		{name: "endless length", stream: strings.Repeat("0", 50), wantErr: "has more than 20 digits"},
		{name: "record cut", stream: "1\na5\nhel", want: []string{"a"}, wantErr: "cut after 3 of 5 bytes", cut: true},
		{name: "record missing", stream: "5\n", wantErr: "cut after 0 of 5 bytes", cut: true},
		{name: "length cut", stream: "12", wantErr: `length cut after "12"`, cut: true},
		{name: "no length", stream: "\nabc", wantErr: "empty length"},
		{name: "sign", stream: "-1\na", wantErr: `followed by '-'`},
		{name: "plain JSON", stream: `{"type":"HEARTBEAT"}`, wantErr: `followed by '{'`},
	}
	readers := map[string]func(io.Reader) io.Reader{
		"whole":     func(r io.Reader) io.Reader { return r },
		"one byte":  iotest.OneByteReader,
		"half":      iotest.HalfReader,
		"late data": iotest.DataErrReader,
	}
	for _, tt := range tests {
		for split, wrap := range readers {
			t.Run(tt.name+"/"+split, func(t *testing.T) {
				t.Parallel()
				r := recordio.NewReader(wrap(strings.NewReader(tt.stream)), tt.limit)
				got, err := readAll(r)
				assert.Equal(t, tt.want, got)
				if tt.wantErr == "" {
					assert.Equal(t, io.EOF, err)
				} else {
					assert.ErrorContains(t, err, tt.wantErr)
				}
				assert.Equal(t, tt.cut, errors.Is(err, io.ErrUnexpectedEOF))
				_, again := r.Next()
				assert.Equal(t, err, again, "an error is final")
			})
		}
	}
}

func TestNextReportsReadErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, stream := range []string{"", "1", "5\nhe"} {
		r := recordio.NewReader(io.MultiReader(strings.NewReader(stream), iotest.ErrReader(broken)), 0)
		_, err := r.Next()
		assert.ErrorIs(t, err, broken, "after %q", stream)
	}
}

// A record that is announced but never sent must not cost its announced size.
func TestAnnouncedSizeIsNotAllocated(t *testing.T) {
	t.Parallel()
	asked := &widestRead{r: strings.NewReader(fmt.Sprintf("%d\n", recordio.DefaultLimit))}
	_, err := recordio.NewReader(asked, 0).Next()
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.LessOrEqual(t, asked.widest, 1<<20)
}

// widestRead remembers the largest buffer that it was asked to fill.
type widestRead struct {
	r      io.Reader
	widest int
}

func (w *widestRead) Read(p []byte) (int, error) {
	w.widest = max(w.widest, len(p))
	return w.r.Read(p)
}

func TestLargeRecord(t *testing.T) {
	t.Parallel()
	large := bytes.Repeat([]byte("offer"), 1<<20)
	r := recordio.NewReader(bytes.NewReader(recordio.Append(recordio.Append(nil, large), []byte("end"))), 0)
	got, err := r.Next()
	require.NoError(t, err)
	assert.True(t, bytes.Equal(large, got))
	got, err = r.Next()
	require.NoError(t, err)
	assert.Equal(t, "end", string(got))
}

// Whatever comes in: no panic, no record above the limit, and the records that
// were read are those that were written, in the canonical form.
func FuzzNext(f *testing.F) {
	f.Add([]byte("5\nhello0\n3\nyes"), 10)
	f.Add([]byte("5\nhel"), 10)
	f.Add([]byte("18446744073709551616\n"), 10)
	f.Add([]byte("0003\nabc1"), 2)
	f.Fuzz(func(t *testing.T, stream []byte, limit int) {
		limit = 1 + int(uint(limit)%4096)
		got, err := readAll(recordio.NewReader(bytes.NewReader(stream), limit))
		require.Error(t, err)
		var canonical []byte
		for _, record := range got {
			require.LessOrEqual(t, len(record), limit)
			canonical = recordio.Append(canonical, []byte(record))
		}
		again, err := readAll(recordio.NewReader(iotest.OneByteReader(bytes.NewReader(canonical)), limit))
		require.Equal(t, io.EOF, err)
		require.Equal(t, got, again)
	})
}

func ExampleReader() {
	stream := recordio.Append(nil, []byte(`{"type":"HEARTBEAT"}`))
	stream = recordio.Append(stream, []byte(`{"type":"SHUTDOWN"}`))
	r := recordio.NewReader(bytes.NewReader(stream), 1<<20)
	for {
		record, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s\n", record)
	}
	// Output:
	// {"type":"HEARTBEAT"}
	// {"type":"SHUTDOWN"}
}
