package hdfs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mesokit/mesokit/executor"
)

// history is what the journal nodes hold.
type history struct {
	journals map[string]journal // by name, of those that answer
	errs     map[string]error   // why the others do not
	// known and closed are the last transaction, and the last of a finished segment,
	// of which a journal node has told when all were asked once; what happens
	// meanwhile, some have and others do not yet. 0: what the journals tell.
	known, closed uint64
}

// journal is what one journal node holds: finished segments, and of the one that is
// written to all up to the last transaction.
type journal struct {
	finished []segment
	last     uint64
	// Blind: it cannot tell its last transaction, because it has left a segment that
	// others have finished (and which it has got from them since).
	blind bool
}

// readHistory asks all journal nodes but this one.
func (l layout) readHistory(ctx context.Context) history {
	h := history{journals: map[string]journal{}, errs: map[string]error{}}
	for _, p := range l.others(l.Journals) {
		err := askJournal(ctx, p.HTTP, l.Service, l.Identity)
		if err == nil {
			h.journals[p.Name], err = readJournal(ctx, p, l.Service)
		}
		if err != nil {
			h.errs[p.Name] = err
			delete(h.journals, p.Name)
		}
	}
	h.known, h.closed = h.last(), h.finished()
	for _, p := range l.others(l.Journals) { // those that were asked before the last was written
		if j, ok := h.journals[p.Name]; ok && h.lacks(j) != nil {
			if again, err := readJournal(ctx, p, l.Service); err == nil {
				h.journals[p.Name] = again
			}
		}
	}
	return h
}

func readJournal(ctx context.Context, p peer, service string) (journal, error) {
	finished, err := segments(ctx, p.RPC, service, false)
	if err != nil {
		return journal{}, err
	}
	all, err := segments(ctx, p.RPC, service, true)
	j := journal{finished: finished, blind: err != nil}
	for _, s := range all {
		j.last = max(j.last, s.last)
	}
	return j, nil
}

// last is the last transaction that counts; 0: there is none.
func (h history) last() (last uint64) {
	if h.known > 0 {
		return h.known
	}
	for _, j := range h.journals {
		last = max(last, j.last)
	}
	return max(last, h.finished())
}

// finished is the last transaction of a finished segment that counts; 0: there is
// none.
func (h history) finished() (last uint64) {
	if h.closed > 0 {
		return h.closed
	}
	for _, j := range h.journals {
		for _, s := range j.finished {
			last = max(last, s.last)
		}
	}
	return last
}

// first is the first transaction that any of them holds.
func (h history) first() (first uint64) {
	for _, j := range h.journals {
		if len(j.finished) > 0 && (first == 0 || j.finished[0].first < first) {
			first = j.finished[0].first
		}
	}
	if first == 0 && h.last() > 0 {
		return 1 // no segment is finished yet
	}
	return first
}

// complete says whether segments hold every transaction from first to last.
func complete(all []segment, first, last uint64) error {
	next := first
	for _, s := range all {
		if s.first > next {
			break
		}
		next = max(next, s.last+1)
	}
	if last > 0 && next <= last {
		return fmt.Errorf("lacks edits from %d of %d", next, last)
	}
	return nil
}

// lacks says what a journal node does not have of all that there is: a segment that
// another has finished, or the end of the one that is written to.
func (h history) lacks(j journal) error {
	if err := complete(j.finished, h.first(), h.finished()); err != nil {
		return err
	}
	if j.last < h.last() && !j.blind {
		return fmt.Errorf("lacks edits from %d of %d", j.last+1, h.last())
	}
	return nil
}

// all are the segments that any of them has finished.
func (h history) all() (out []segment) {
	for _, j := range h.journals {
		out = append(out, j.finished...)
	}
	slices.SortFunc(out, func(a, b segment) int { return cmp.Compare(a.first, b.first) })
	return out
}

// silent says who does not answer.
func (h history) silent() error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(h.errs)) {
		errs = append(errs, fmt.Errorf("%s: %w", name, h.errs[name]))
	}
	return errors.Join(errs...)
}

// each says who of the journal nodes lacks what others have, or does not answer.
func (h history) each() error {
	errs := []error{h.silent()}
	for _, name := range slices.Sorted(maps.Keys(h.journals)) {
		if err := h.lacks(h.journals[name]); err != nil {
			errs = append(errs, fmt.Errorf("%s %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// mayBeEmpty says whether this journal node may begin with an empty journal:
// where nothing was written yet, or every other holds all that was. (Of what was
// promised to a writer by a majority, a majority then still knows.)
func (l layout) mayBeEmpty(h history) error {
	switch {
	case l.Founding && h.last() == 0:
		return nil
	case l.trusts(h):
		return nil // an operator says that it is enough
	case h.last() == 0 && len(h.errs) == 0:
		return errors.New("no journal node holds an edit any more: " + allLost)
	case len(h.errs) == 0:
		return h.each()
	case len(h.journals) == 0:
		return fmt.Errorf("this node lost its journal, and none of the others says that it has one; if they never will, %s: %w", allLost, h.each())
	}
	return fmt.Errorf("this node lost its journal, and fills it when all others have theirs; if they never will, "+
		"and one of them has all edits, name it in Cluster.Trust (--trust): %w", h.each())
}

const allLost = "see “All journals are lost” in the documentation of package hdfs"

// trusts says whether an operator trusts a journal node that answers, and this one
// is the next to be filled from it: so few lack edits then, this one among them, that
// no majority is without one that has them all.
func (l layout) trusts(h history) bool {
	_, answers := h.journals[l.Trust]
	lacking := 1
	for _, j := range h.journals {
		if h.lacks(j) != nil {
			lacking++
		}
	}
	return answers && l.firstOf(h.errs) && lacking <= len(l.Journals)/2
}

// firstOf says whether this journal node comes before all that have no journal.
func (l layout) firstOf(without map[string]error) bool {
	for _, p := range l.Journals {
		if p.Name == l.Self {
			return true
		}
		if without[p.Name] != nil {
			return false
		}
	}
	return true
}

// prepareName sees to it that the node's volume holds the namespace: the one that
// it had, or a copy of a peer's, or one that is made of the journal's edits, which
// for a new cluster are none.
func prepareName(ctx context.Context, s executor.Sandbox) error {
	l, err := prepare(s)
	if err != nil {
		return err
	}
	dir := filepath.Join(s.Dir, nameDir)
	found, err := version(dir)
	if err == nil && found != nil {
		s.Report("namespace is there")
		err = l.Identity.check(nameDir, found)
	}
	if err == nil {
		err = l.claim(s.Dir, found)
	}
	if err == nil && found == nil {
		err = l.obtain(ctx, s, dir)
	}
	return err
}

// obtain fills a directory that holds no namespace: beside its place, and moved
// there whole, so that what was cut leaves nothing that looks like one.
func (l layout) obtain(ctx context.Context, s executor.Sandbox, dir string) error {
	source := ""
	waiting, cancel := context.WithTimeoutCause(ctx, namePatience, fmt.Errorf("waited for %v", namePatience))
	defer cancel()
	err := until(waiting, func(ctx context.Context) (err error) {
		source, err = l.source(l.serving(ctx), l.readHistory(ctx))
		return err
	})
	if err != nil {
		return fmt.Errorf("%w: %w", context.Cause(waiting), err)
	}
	if err := errors.Join(os.RemoveAll(dir+".new"), os.RemoveAll(dir)); err != nil {
		return err
	}
	if source != "" {
		err = l.bootstrap(ctx, s, dir+".new")
		s.Report("namespace copied from " + source)
	} else {
		err = l.format(ctx, s, dir+".new")
		s.Report("namespace formatted")
		if !l.Founding {
			s.Report("namespace made anew of all edits in the journal")
		}
	}
	if err != nil {
		return err
	}
	return os.Rename(dir+".new", dir)
}

// serving are the other name nodes that serve the namespace.
func (l layout) serving(ctx context.Context) (names []string) {
	for _, p := range l.others(l.Names) {
		if state, err := askName(ctx, p.HTTP); err == nil && state.Cluster == l.Identity.Cluster {
			names = append(names, p.Name)
		}
	}
	return names
}

// source says which peer has the namespace; empty: nobody, and this node is to
// make it. That is so only where no other name node holds it, and the journal has
// every edit since the first; and without any edit only where no name node has
// ever arrived.
func (l layout) source(serving []string, h history) (string, error) {
	if len(serving) > 0 {
		return serving[0], nil
	}
	for i, p := range l.Names {
		switch {
		case p.Name == l.Self:
		case p.Member:
			return "", fmt.Errorf("waits for %s, which has the namespace; if it has lost it, replace that name node too: it is then made of the journal", p.Name)
		case i < slices.IndexFunc(l.Names, func(p peer) bool { return p.Name == l.Self }):
			return "", fmt.Errorf("waits for %s, which makes the namespace", p.Name)
		}
	}
	// What was acknowledged, a majority has: together they have all of it.
	if err := errors.Join(h.silent(), complete(h.all(), 1, h.finished())); err != nil && h.first() <= 1 {
		return "", fmt.Errorf("waits for all journal nodes: %w", err)
	}
	switch first := h.first(); {
	case first > 1:
		return "", fmt.Errorf("the journal begins with edit %d, so that the namespace cannot be made of it: bring a name node's volume back", first)
	case first == 0 && !l.Founding:
		return "", errors.New("no name node has the namespace, and the journal is empty: bring a volume back")
	}
	return "", nil
}

// bootstrap copies the image of a peer.
func (l layout) bootstrap(ctx context.Context, s executor.Sandbox, dir string) error {
	return s.Run(ctx, l.Java, "@"+toolFile, nameClass, "-D", "dfs.ha.namenode.id="+l.Self, "-D", "hadoop.tmp.dir="+filepath.Join(s.Dir, temporaryDir),
		"-D", "dfs.namenode.name.dir=file://"+dir, "-bootstrapStandby", "-nonInteractive")
}

// format makes the image of an empty namespace, of which edits make any other. It
// is made as if there were no journal, which it must not touch, and then given
// the identity of this one.
func (l layout) format(ctx context.Context, s executor.Sandbox, dir string) error {
	scratch := filepath.Join(s.Dir, "format")
	if err := os.MkdirAll(scratch, 0o755); err != nil {
		return err
	}
	site := document(map[string]string{"fs.defaultFS": "hdfs://127.0.0.1:1", "dfs.namenode.name.dir": "file://" + dir})
	if err := os.WriteFile(filepath.Join(scratch, filepath.Base(siteFile)), site, 0o644); err != nil {
		return err
	}
	arguments, err := os.ReadFile(filepath.Join(s.Dir, toolFile))
	if err != nil {
		return err
	}
	tool := strings.ReplaceAll(string(arguments), ":"+confDir+"\"", ":format:"+confDir+"\"")
	if err := os.WriteFile(filepath.Join(s.Dir, "format.args"), []byte(tool), 0o644); err != nil {
		return err
	}
	if err := s.Run(ctx, l.Java, "@format.args", nameClass, "-D", "hadoop.tmp.dir="+filepath.Join(s.Dir, temporaryDir),
		"-format", "-nonInteractive", "-clusterid", l.Identity.Cluster); err != nil {
		return fmt.Errorf("make an empty namespace: %w", err)
	}
	return os.WriteFile(filepath.Join(dir, "current", "VERSION"), fmt.Appendf([]byte(l.Identity.version("NAME_NODE")), "blockpoolID=%s\n", l.Identity.BlockPool), 0o644)
}
