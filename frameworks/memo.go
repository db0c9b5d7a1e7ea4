package frameworks

import (
	"reflect"
	"slices"

	"github.com/mesokit/mesokit/scheduler"
)

// memo spares reading and writing the records of nodes that no event concerns.
// It is no memory of its own: what it holds for a record follows from the
// record, and it serves one scheduler at a time, as the handler does.
type memo struct {
	nodes map[string]*decoded
	// roster is that of the last decision; nil: it is to be made of the records.
	roster *roster
	// twice is the view of a decision that was asked for more than once: nobody
	// can tell which was carried out, so that neither is built upon.
	twice scheduler.View
}

// decoded is the record of a node with what it says. It is never changed: a
// decision works on a copy.
type decoded struct {
	record []byte // as the view has it: the same memory as long as it stays the same
	node   Node
}

func (s *Service) memory() *memo {
	if s.memo == nil {
		s.memo = &memo{nodes: map[string]*decoded{}}
	}
	return s.memo
}

// kept returns the roster of the last decision, if the next can begin with it.
func (m *memo) kept(s *Service, v scheduler.View) *roster {
	r := m.roster
	m.roster = nil
	if r == nil {
		return nil
	}
	if r.view == v {
		m.twice = v
	}
	if !r.again(s, v, m) {
		return nil
	}
	return r
}

// keep keeps the roster for the next decision.
func (m *memo) keep(r *roster, v scheduler.View) {
	if m.twice != v {
		r.view = v
		m.roster = r
	}
}

// decoded returns what a record of a node says.
func (m *memo) decoded(s *Service, name string, record []byte) (*decoded, error) {
	known := m.nodes[name]
	if known == nil || !sameMemory(known.record, record) {
		node, err := decode[Node](record)
		if err != nil {
			return nil, err
		}
		node.task = incarnate(s.Name, node)
		known = &decoded{record, *node}
		m.nodes[name] = known
	}
	return known, nil
}

// read returns a node of its own for a record.
func (m *memo) read(s *Service, name string, record []byte) (*Node, error) {
	known, err := m.decoded(s, name, record)
	if err != nil {
		return nil, err
	}
	return known.node.clone(), nil
}

// clone is a node that can be changed. What Place and Left refer to is copied as
// far as it is ever changed in its place.
func (n *Node) clone() *Node {
	out := *n
	if n.Place != nil {
		place := *n.Place
		out.Place = &place
	}
	out.Left = slices.Clone(n.Left)
	return &out
}

// unchanged says whether a node is as its record has it.
func (m *memo) unchanged(n *Node) bool {
	known := m.nodes[n.Name]
	return known != nil && reflect.DeepEqual(n, &known.node)
}

func sameMemory(a, b []byte) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}
