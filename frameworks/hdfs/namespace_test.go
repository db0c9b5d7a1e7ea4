package hdfs

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLacks(t *testing.T) {
	whole := journal{finished: []segment{{1, 10}, {11, 20}}, last: 25}
	for _, test := range []struct {
		name string
		j    journal
		want string
	}{
		{"the same", whole, ""},
		{"what was written since", journal{finished: whole.finished, last: 27}, ""},
		{"a finished segment", journal{finished: []segment{{1, 10}}, last: 25}, "lacks edits from 11 of 20"},
		{"the end of the open one", journal{finished: whole.finished, last: 22}, "lacks edits from 23 of 25"},
		{"it cannot tell", journal{finished: whole.finished, blind: true}, ""},
		{"everything", journal{}, "lacks edits from 1 of 20"},
	} {
		err := history{journals: map[string]journal{"whole": whole, "this": test.j}, known: 25}.lacks(test.j)
		if test.want == "" {
			assert.NoError(t, err, test.name)
		} else {
			assert.EqualError(t, err, test.want, test.name)
		}
	}
	begun := history{journals: map[string]journal{"one": {last: 7}}}
	assert.Equal(t, uint64(1), begun.first())
	assert.Zero(t, history{}.first())
}

func TestComplete(t *testing.T) {
	for _, test := range []struct {
		name        string
		has         []segment
		first, last uint64
		want        string
	}{
		{"nothing was written", nil, 0, 0, ""},
		{"all of it", []segment{{1, 10}, {11, 20}}, 1, 20, ""},
		{"and more", []segment{{1, 10}, {11, 25}}, 1, 20, ""},
		{"nothing of it", nil, 1, 20, "lacks edits from 1 of 20"},
		{"a gap", []segment{{1, 10}, {15, 20}}, 1, 20, "lacks edits from 11 of 20"},
		{"it begins late", []segment{{11, 20}}, 1, 20, "lacks edits from 1 of 20"},
		{"it ends early", []segment{{1, 10}}, 1, 20, "lacks edits from 11 of 20"},
		{"others were purged", []segment{{11, 20}}, 11, 20, ""},
	} {
		err := complete(test.has, test.first, test.last)
		if test.want == "" {
			assert.NoError(t, err, test.name)
		} else {
			assert.EqualError(t, err, test.want, test.name)
		}
	}
}

// model is a cluster as far as its journal and its namespace are concerned. A
// transaction is a number; a name node's image is the last one that it has.
type model struct {
	t *testing.T
	r *rand.Rand
	// Volumes: nil is empty.
	journals [3]*disk
	names    [2]*disk
	founded  bool // a name node has been ready
	active   int  // -1: none
	trust    string
	trusted  int // how often it was of use
	acked    uint64
	formats  int
	told     []string
}

type disk struct {
	member  bool // it was ready with this volume
	running bool
	has     map[uint64]bool // of a journal node
	last    uint64          // of a name node: the edits that its image and memory have
	behind  bool            // of a journal node: it missed a segment, and waits for the next
}

func newModel(t *testing.T, seed uint64) *model {
	return &model{t: t, r: rand.New(rand.NewPCG(seed, 7)), active: -1}
}

func (m *model) say(format string, args ...any) {
	m.told = append(m.told, fmt.Sprintf(format, args...))
}

func (m *model) layout(self string) layout {
	l := layout{Self: self, Founding: !m.founded, Trust: m.trust}
	for i, d := range m.journals {
		l.Journals = append(l.Journals, peer{Name: fmt.Sprint("journal-", i), Member: d != nil && d.member})
	}
	for i, d := range m.names {
		l.Names = append(l.Names, peer{Name: fmt.Sprint("name-", i), Member: d != nil && d.member})
	}
	return l
}

// segments are the runs of transactions that a journal node has.
func (d *disk) segments() (out []segment) {
	var all []uint64
	for tx := range d.has {
		all = append(all, tx)
	}
	slices.Sort(all)
	for _, tx := range all {
		if n := len(out); n > 0 && out[n-1].last+1 == tx {
			out[n-1].last = tx
		} else {
			out = append(out, segment{tx, tx})
		}
	}
	return out
}

// journal is what it would tell: that the last segment is finished is for the model
// no different.
func (d *disk) journal() journal {
	j := journal{finished: d.segments()}
	if n := len(j.finished); n > 0 {
		j.last = j.finished[n-1].last
	}
	return j
}

func (m *model) history(without string) history {
	h := history{journals: map[string]journal{}, errs: map[string]error{}}
	for i, d := range m.journals {
		switch name := fmt.Sprint("journal-", i); {
		case name == without:
		case d == nil || !d.running:
			h.errs[name] = errors.New("does not answer")
		default:
			h.journals[name] = d.journal()
		}
	}
	return h
}

// start does what a node's steps do.
func (m *model) startJournal(i int) {
	name := fmt.Sprint("journal-", i)
	if m.journals[i] == nil {
		if m.layout(name).mayBeEmpty(m.history(name)) != nil {
			return
		}
		m.journals[i] = &disk{has: map[uint64]bool{}}
		m.say("%s begins empty", name)
	}
	m.journals[i].running, m.journals[i].behind = true, true
}

func (m *model) startName(i int) {
	name := fmt.Sprint("name-", i)
	if m.names[i] == nil {
		var serving []string
		for j, d := range m.names {
			if j != i && d != nil && d.running {
				serving = append(serving, fmt.Sprint("name-", j))
			}
		}
		source, err := m.layout(name).source(serving, m.history(""))
		switch {
		case err != nil:
			return
		case source == "":
			m.names[i] = &disk{}
			if m.history("").last() == 0 {
				m.formats++
				require.Zero(m.t, m.acked, "formatted over %d edits\n%s", m.acked, strings.Join(m.told, "\n"))
			}
			m.say("%s makes the namespace", name)
		default:
			m.names[i] = &disk{last: m.names[1-i].last}
			m.say("%s copies %s", name, source)
		}
	}
	m.names[i].running = true
}

// quorum are the journal nodes that run, if they are a majority.
func (m *model) quorum() (out []*disk) {
	for _, d := range m.journals {
		if d != nil && d.running {
			out = append(out, d)
		}
	}
	if len(out) < 2 {
		return nil
	}
	return out
}

// elect makes a name node active: it reads from any majority all that it finds,
// and begins a segment in which those that run take part.
func (m *model) elect() {
	if m.active >= 0 && m.names[m.active] != nil && m.names[m.active].running {
		return
	}
	m.active = -1
	q := m.quorum()
	for i, d := range m.names {
		if d == nil || !d.running || q == nil {
			continue
		}
		// The worst majority that there can be: any two.
		m.r.Shuffle(len(q), func(a, b int) { q[a], q[b] = q[b], q[a] })
		for tx := d.last + 1; q[0].has[tx] || q[1].has[tx]; tx++ {
			d.last = tx
		}
		require.GreaterOrEqual(m.t, d.last, m.acked, "name-%d is active without what was acknowledged\n%s", i, strings.Join(m.told, "\n"))
		m.active, m.founded, d.member = i, true, true
		m.say("name-%d is active with %d", i, d.last)
		d.last++ // the mark that begins a segment
		for n, j := range q {
			for tx := d.last; tx < d.last+10; tx++ { // what nobody was promised
				delete(j.has, tx)
			}
			j.behind = n > 1
		}
		for _, j := range q[:2] { // they recover the last segment, and take part in the new one
			if d.last > 1 {
				j.has[d.last-1] = true
			}
			j.has[d.last] = true
		}
		m.acked = d.last
		return
	}
}

// write writes an edit, which two journal nodes have when it is acknowledged.
func (m *model) write() {
	q := m.quorum()
	if m.active < 0 || q == nil {
		m.active = -1
		return
	}
	var in []*disk
	for _, d := range q {
		if !d.behind {
			in = append(in, d)
		}
	}
	if len(in) < 2 || m.names[m.active] == nil || !m.names[m.active].running {
		return
	}
	m.r.Shuffle(len(in), func(a, b int) { in[a], in[b] = in[b], in[a] })
	tx := m.names[m.active].last + 1
	for _, d := range in[:2] {
		d.has[tx] = true
	}
	if len(in) > 2 && m.r.IntN(2) == 0 {
		in[2].has[tx] = true
	}
	m.names[m.active].last, m.acked = tx, tx
}

// roll begins a segment, copies what is missing, and makes members ready.
func (m *model) roll() {
	if m.active < 0 || m.names[m.active] == nil || !m.names[m.active].running {
		return
	}
	for _, d := range m.quorum() {
		d.behind = false
		for _, other := range m.quorum() {
			for tx := range other.has {
				d.has[tx] = true
			}
		}
		d.member = true
	}
	for _, d := range m.names {
		if d != nil && d.running {
			d.last, d.member = m.names[m.active].last, true
		}
	}
}

// settle has the operator trust nobody alone any more, once all journals are whole.
func (m *model) settle() {
	whole := func(d *disk) bool { return d != nil && d.running && complete(d.segments(), 1, m.acked) == nil }
	if m.trust != "" && !slices.ContainsFunc(m.journals[:], func(d *disk) bool { return !whole(d) }) {
		m.trust = ""
		m.trusted++
	}
}

// step is a moment: something is done, or lost.
func (m *model) step() {
	switch m.r.IntN(16) {
	case 0: // a process dies
		if d := m.journals[m.r.IntN(3)]; d != nil {
			d.running = false
		}
	case 1:
		if i := m.r.IntN(2); m.names[i] != nil {
			m.names[i].running = false
		}
	case 2: // a name node's volume is lost
		if i := m.r.IntN(2); m.names[1-i] != nil || !slices.Contains(m.journals[:], nil) {
			m.names[i] = nil
		}
	case 3: // a journal's: one of what is lost at a time, or all but the one that an operator trusts
		i := m.r.IntN(3)
		switch {
		case m.names == [2]*disk{} || slices.Contains(m.journals[:], nil) || m.trust != "":
		case m.r.IntN(2) == 0 && complete(m.journals[i].segments(), 1, m.acked) == nil:
			m.trust = fmt.Sprint("journal-", i)
			m.journals[(i+1)%3], m.journals[(i+2)%3] = nil, nil
			m.say("all but %s are lost", m.trust)
		default:
			m.say("journal-%d is lost", i)
			m.journals[i] = nil
		}
	case 4, 13:
		m.roll()
		m.settle()
	case 5, 6, 10, 11, 12:
		m.write()
	case 7, 14:
		m.startJournal(m.r.IntN(3))
	case 8, 15:
		m.startName(m.r.IntN(2))
	default:
		m.elect()
	}
}

// stuck is what those wait for that have no volume.
func (m *model) stuck() (out []error) {
	for i, d := range m.journals {
		name := fmt.Sprint("journal-", i)
		if d == nil {
			out = append(out, fmt.Errorf("%s: %w", name, m.layout(name).mayBeEmpty(m.history(name))))
		}
	}
	for i, d := range m.names {
		name := fmt.Sprint("name-", i)
		if d == nil {
			_, err := m.layout(name).source(nil, m.history(""))
			out = append(out, fmt.Errorf("%s: %w", name, err))
		}
	}
	return out
}

// TestNothingIsLostInTheModel takes many clusters through losses of volumes and
// processes in every order: no edit that was acknowledged is lost, and nothing is
// formatted over one; and when the losses end, each of them serves again.
func TestNothingIsLostInTheModel(t *testing.T) {
	t.Parallel()
	var edits uint64
	trusted := 0
	for seed := range uint64(1000) {
		m := newModel(t, seed)
		for range 200 {
			m.step()
		}
		for range 10 { // no more losses
			for i := range m.journals {
				m.startJournal(i)
			}
			for i := range m.names {
				m.startName(i)
			}
			m.elect()
			m.roll()
			m.settle()
		}
		require.Empty(t, m.trust, "seed %d", seed)
		require.GreaterOrEqual(t, m.active, 0, "seed %d: nobody is active: %v\n%s", seed, m.stuck(), strings.Join(m.told, "\n"))
		edits += m.acked
		trusted += m.trusted
	}
	assert.Greater(t, trusted, 100, "two journals were hardly ever lost at once")
	assert.Greater(t, edits, uint64(5_000), "the model did hardly anything")
}
