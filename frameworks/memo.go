package frameworks

import (
	"reflect"
	"slices"
)

// memo spares reading and writing the records of nodes that no event concerns.
// It is no memory of its own: what it holds for a record follows from the
// record, and it serves one scheduler at a time, as the handler does.
type memo struct{ nodes map[string]*decoded }

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

// read returns a node of its own for a record. What Place and Left refer to is
// copied as far as it is ever changed in its place.
func (m *memo) read(s *Service, name string, record []byte) (*Node, error) {
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
	n := new(Node)
	*n = known.node
	if n.Place != nil {
		n.Place = new(Place)
		*n.Place = *known.node.Place
	}
	n.Left = slices.Clone(n.Left)
	return n, nil
}

// unchanged says whether a node is as its record has it.
func (m *memo) unchanged(n *Node) bool {
	known := m.nodes[n.Name]
	return known != nil && reflect.DeepEqual(n, &known.node)
}

// prune forgets the nodes that are gone.
func (m *memo) prune(nodes []*Node) {
	if len(m.nodes) <= len(nodes) {
		return
	}
	kept := map[string]*decoded{}
	for _, n := range nodes {
		if known := m.nodes[n.Name]; known != nil {
			kept[n.Name] = known
		}
	}
	m.nodes = kept
}

func sameMemory(a, b []byte) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}
