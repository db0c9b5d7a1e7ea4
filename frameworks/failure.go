package frameworks

import (
	"slices"
	"strings"
	"time"
)

// Failure is an end of a node's task that nobody asked for, or another reason why
// it did not serve.
type Failure struct {
	At   time.Time `json:"at"`
	Task string    `json:"task,omitempty"`
	// Text is the exit status or the signal, and the last lines of the server's
	// output, as far as an executor told them.
	Text string `json:"text"`
}

// Line is the failure in one line: how it ended, and the last that was said.
func (f Failure) Line() string {
	first, rest, _ := strings.Cut(strings.TrimSpace(f.Text), "\n")
	first = strings.TrimSuffix(first, "; last lines:")
	if rest == "" {
		return first
	}
	return first + ": " + strings.TrimSpace(rest[strings.LastIndexByte(rest, '\n')+1:])
}

const (
	// failuresKept is how many failures of a node are kept, failureKept how much of
	// the text of each but the last.
	failuresKept = 5
	failureKept  = 1 << 10
)

// failed keeps why a node failed.
func (d *decision) failed(n *Node, text string) {
	n.LastFailure = text
	d.strain(n)
	n.Past = slices.Clone(n.Past) // the record's is not changed
	n.Past = slices.Insert(n.Past, 0, Failure{At: d.now, Task: d.taskID(n), Text: ending(text)})
	n.Past = n.Past[:min(len(n.Past), failuresKept)]
}

// ending keeps the first line of a failure, and as much of its end as there is
// room for.
func ending(text string) string {
	if len(text) <= failureKept {
		return text
	}
	first, rest, _ := strings.Cut(text, "\n")
	first = first[:min(len(first), failureKept/4)]
	rest = rest[max(0, len(rest)-failureKept+len(first)):]
	return strings.ToValidUTF8(first+"\n…"+rest, "")
}
