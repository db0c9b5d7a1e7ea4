package executor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"time"
)

// A Message is what a scheduler and an executor say to one another in the data
// of MESSAGE: Hello, Renew, Response and Usage come from the executor, Secret,
// Grant and Request from the scheduler. Mesos delivers messages at most once and
// promises nothing, so Hello, Renew and Request are sent again until the answer
// comes; a receiver takes any of them twice without harm.
type Message interface{ message() }

// Hello tells that a task waits for its secrets. It is repeated until all of
// them have come. The update that follows says "secrets written".
type Hello struct {
	Task string `json:"task"`
	// Secrets are the names of those that are still missing.
	Secrets []string `json:"secrets"`
}

// Secret is the value of one of Task.Secrets. It goes into a file with mode
// 0600 and nowhere else.
type Secret struct {
	Task  string `json:"task"`
	Name  string `json:"name"`
	Value []byte `json:"value"`
}

// String keeps the value out of logs.
func (s Secret) String() string { return fmt.Sprintf("secret %s of %s", s.Name, s.Task) }

// GoString keeps the value out of logs.
func (s Secret) GoString() string { return s.String() }

// Request asks the executor of a task for something: the function of that name
// in Config.Requests; or "tail", whose body is a Tail; or "usage", whose answer is a
// Usage.
type Request struct {
	// ID tells requests of one task apart. A request that comes again under an
	// ID that was answered is not carried out again; the answer is repeated, if
	// it was short enough to be kept (64 KiB), or else found out anew.
	ID   string          `json:"id"`
	Task string          `json:"task"`
	Name string          `json:"name"`
	Body json.RawMessage `json:"body,omitempty"`
	// Within bounds the time that it may take; zero means one minute.
	Within time.Duration `json:"within,omitempty"`
}

// Response answers a Request, in pieces if it is large. An Answer puts them
// together.
type Response struct {
	ID   string `json:"id"`
	Task string `json:"task"`
	// Error says why the request could not be carried out; empty: it was.
	Error string `json:"error,omitempty"`
	// Part counts from 0 to Parts-1.
	Part  int `json:"part"`
	Parts int `json:"parts"`
	// Sum is the CRC-32 of the whole answer. It differs between two answers to a
	// request that was carried out again.
	Sum  uint32 `json:"sum,omitempty"`
	Body []byte `json:"body,omitempty"`
}

func (Hello) message()    {}
func (Secret) message()   {}
func (Request) message()  {}
func (Response) message() {}

// envelope is a Message as JSON: an object with exactly one field.
type envelope struct {
	Hello    *Hello    `json:"hello,omitempty"`
	Secret   *Secret   `json:"secret,omitempty"`
	Renew    *Renew    `json:"renew,omitempty"`
	Grant    *Grant    `json:"grant,omitempty"`
	Request  *Request  `json:"request,omitempty"`
	Response *Response `json:"response,omitempty"`
	Usage    *Usage    `json:"usage,omitempty"`
}

// EncodeMessage returns the data of a MESSAGE. It fails only for a Request whose
// Body is not JSON.
func EncodeMessage(m Message) ([]byte, error) {
	var e envelope
	switch m := m.(type) {
	case Hello:
		e.Hello = &m
	case Secret:
		e.Secret = &m
	case Renew:
		e.Renew = &m
	case Grant:
		e.Grant = &m
	case Request:
		e.Request = &m
	case Response:
		e.Response = &m
	case Usage:
		e.Usage = &m
	}
	data, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", m, err)
	}
	return data, nil
}

// DecodeMessage is the inverse of EncodeMessage. The error never quotes data,
// which may hold a secret.
func DecodeMessage(data []byte) (Message, error) {
	var e envelope
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&e); err != nil {
		return nil, fmt.Errorf("message of %d bytes is not one of this package", len(data))
	}
	var found []Message
	if e.Hello != nil {
		found = append(found, *e.Hello)
	}
	if e.Secret != nil {
		found = append(found, *e.Secret)
	}
	if e.Renew != nil {
		found = append(found, *e.Renew)
	}
	if e.Grant != nil {
		found = append(found, *e.Grant)
	}
	if e.Request != nil {
		found = append(found, *e.Request)
	}
	if e.Response != nil {
		found = append(found, *e.Response)
	}
	if e.Usage != nil {
		found = append(found, *e.Usage)
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("message holds %d of hello, secret, renew, grant, request, response, usage: want one", len(found))
	}
	return found[0], nil
}

const (
	// partSize is the most that one Response carries, in bytes.
	partSize = 256 << 10
	// maxParts bounds what an Answer takes, to about 16 MiB.
	maxParts = 64
)

// respond makes the responses to a request.
func respond(r Request, body []byte, err error) []Response {
	if len(body) > partSize*maxParts {
		err = fmt.Errorf("the answer has %d bytes: want at most %d", len(body), partSize*maxParts)
	}
	if err != nil {
		return []Response{{ID: r.ID, Task: r.Task, Parts: 1, Error: err.Error()}}
	}
	parts := max(1, (len(body)+partSize-1)/partSize)
	responses, sum := make([]Response, parts), crc32.ChecksumIEEE(body)
	for i := range responses {
		piece := body[i*partSize : min((i+1)*partSize, len(body))]
		responses[i] = Response{ID: r.ID, Task: r.Task, Part: i, Parts: parts, Sum: sum, Body: piece}
	}
	return responses
}

// An Answer puts the responses to one request together, in whatever order and
// however often they come. The zero value is ready.
type Answer struct {
	parts [][]byte // by number; nil: has not come
	left  int
	sum   uint32 // of the answer that parts are of
	err   error
}

// Add takes one response and tells whether all have come.
func (a *Answer) Add(r Response) (complete bool) {
	switch {
	case a.Complete():
		return true
	case r.Error != "":
		a.err = errors.New(r.Error)
		return true
	case r.Parts < 1 || r.Parts > maxParts || r.Part < 0 || r.Part >= r.Parts:
		a.err = fmt.Errorf("response %s is part %d of %d: want 0 to at most %d", r.ID, r.Part, r.Parts, maxParts-1)
		return true
	case a.parts == nil || r.Parts != len(a.parts) || r.Sum != a.sum:
		a.parts, a.left, a.sum = make([][]byte, r.Parts), r.Parts, r.Sum
	}
	if a.parts[r.Part] == nil {
		a.parts = slices.Clone(a.parts) // a copy of a stays as it is
		a.parts[r.Part] = append([]byte{}, r.Body...)
		a.left--
	}
	return a.Complete()
}

// Complete tells whether all responses have come.
func (a *Answer) Complete() bool { return a.err != nil || a.parts != nil && a.left == 0 }

// Body returns the whole answer, or why the request was not carried out. It
// is an error to ask before the answer is complete.
func (a *Answer) Body() ([]byte, error) {
	if !a.Complete() {
		return nil, fmt.Errorf("%d parts of the answer have not come", a.left)
	}
	return bytes.Join(a.parts, nil), a.err
}
