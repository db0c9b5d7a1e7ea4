package recordio

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
)

const (
	// DefaultLimit is the largest record, in bytes, that a Reader takes when it
	// is given no limit of its own.
	DefaultLimit = 256 << 20

	// chunk is how much a reader asks for at once, in bytes. A peer that
	// announces a large record and sends nothing costs no more than this.
	chunk = 1 << 20

	// maxDigits is more digits than any length needs (an int64 has 19).
	maxDigits = 20
)

// A Reader takes records from a stream, one after the other. It is not safe for
// use by several goroutines at once.
type Reader struct {
	r     *bufio.Reader
	limit int
	buf   []byte // the current record; reused by the next
	err   error  // once set, every later Next returns it
}

// NewReader returns a Reader of the records in r. A record of more than limit
// bytes is an error; a limit of zero or less means DefaultLimit.
func NewReader(r io.Reader, limit int) *Reader {
	if limit <= 0 {
		limit = DefaultLimit
	}
	return &Reader{r: bufio.NewReader(r), limit: limit}
}

// Next returns the next record, which stays valid until the following call of
// Next. It returns io.EOF when the stream ends between two records, an error
// that wraps io.ErrUnexpectedEOF when it ends inside one, and an error that
// names size and limit when a record is too large. After an error every call
// returns that error again.
func (r *Reader) Next() ([]byte, error) {
	if r.err != nil {
		return nil, r.err
	}
	record, err := r.next()
	if err != nil {
		r.err = err
		return nil, err
	}
	return record, nil
}

func (r *Reader) next() ([]byte, error) {
	size, err := r.header()
	if err != nil {
		return nil, err
	}
	r.buf = r.buf[:0]
	for len(r.buf) < size {
		have := len(r.buf)
		n := min(size-have, chunk)
		r.buf = slices.Grow(r.buf, n)[:have+n]
		read, err := io.ReadFull(r.r, r.buf[have:])
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, fmt.Errorf("recordio: record cut after %d of %d bytes: %w", have+read, size, io.ErrUnexpectedEOF)
		}
		if err != nil {
			return nil, fmt.Errorf("recordio: read record: %w", err)
		}
	}
	return r.buf, nil
}

// header reads the length of the next record and the newline after it.
func (r *Reader) header() (int, error) {
	var digits []byte
	for {
		c, err := r.r.ReadByte()
		switch {
		case errors.Is(err, io.EOF) && len(digits) == 0:
			return 0, io.EOF
		case errors.Is(err, io.EOF):
			return 0, fmt.Errorf("recordio: length cut after %q: %w", digits, io.ErrUnexpectedEOF)
		case err != nil:
			return 0, fmt.Errorf("recordio: read length: %w", err)
		case c == '\n':
			return r.size(digits)
		case c < '0' || c > '9':
			return 0, fmt.Errorf("recordio: length %q is followed by %q: want decimal digits and a newline", digits, c)
		case len(digits) == maxDigits:
			return 0, fmt.Errorf("recordio: length %q… has more than %d digits", digits, maxDigits)
		}
		digits = append(digits, c)
	}
}

func (r *Reader) size(digits []byte) (int, error) {
	if len(digits) == 0 {
		return 0, errors.New("recordio: empty length: want decimal digits before the newline")
	}
	n, err := strconv.ParseUint(string(digits), 10, 64)
	if err != nil || n > uint64(r.limit) {
		return 0, fmt.Errorf("recordio: record of %s bytes is larger than the limit of %d", digits, r.limit)
	}
	return int(n), nil
}

// Append appends record and its frame to dst and returns the extended slice.
func Append(dst, record []byte) []byte {
	dst = strconv.AppendInt(dst, int64(len(record)), 10)
	dst = append(dst, '\n')
	return append(dst, record...)
}
