package hdfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/internal/jvm"
)

// The functions that the executor runs on the agent.
const (
	journalStep  = "hdfs-journal"
	nameStep     = "hdfs-name"
	electionStep = "hdfs-election"
	dataStep     = "hdfs-data"
	tendStep     = "hdfs-tend"
	handOverStep = "hdfs-hand-over"
	releaseStep  = "hdfs-release"
)

// Steps are the functions that this framework's executor needs; give them to
// executor.Main.
func Steps() map[string]executor.StepFunc {
	return map[string]executor.StepFunc{
		journalStep:  prepareJournal,
		nameStep:     prepareName,
		electionStep: prepareElection,
		dataStep:     prepareData,
		tendStep:     tend,
		handOverStep: handOver,
		releaseStep:  release,
	}
}

// pause is between two looks of a step that waits for others.
const pause = 500 * time.Millisecond

// until tries until it works, or else, when ctx has ended, says why it did not last:
// the executor tells it along with the end of the step.
func until(ctx context.Context, try func(context.Context) error) (why error) {
	for {
		short, cancel := context.WithTimeout(ctx, 30*time.Second)
		err := try(short)
		cancel()
		if err == nil {
			return nil
		}
		if why == nil || ctx.Err() == nil { // one that was cut says only that
			why = err
		}
		select {
		case <-ctx.Done():
			return why
		case <-time.After(pause):
		}
	}
}

func prepare(s executor.Sandbox) (layout, error) {
	l, err := readLayout(s)
	if err != nil {
		return l, err
	}
	if err := jvm.CheckClasspath(s.Dir, l.Classpath); err != nil {
		return l, fmt.Errorf("find the jars of Distribution.Classpath (--hadoop): %w", err)
	}
	return l, nil
}

// version reads a file VERSION of Hadoop; nil: there is none.
func version(dir string) (map[string]string, error) {
	content, err := os.ReadFile(filepath.Join(dir, "current", "VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	out := map[string]string{}
	for line := range strings.Lines(string(content)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			out[key] = value
		}
	}
	return out, err
}

// check compares what a directory says it belongs to.
func (id identity) check(dir string, found map[string]string) error {
	if found["clusterID"] != id.Cluster || found["namespaceID"] != fmt.Sprint(id.Namespace) {
		return fmt.Errorf("%s belongs to namespace %s of cluster %s, not to namespace %d of cluster %s: bring the node's own volume back, or replace the node",
			dir, found["namespaceID"], found["clusterID"], id.Namespace, id.Cluster)
	}
	return nil
}

// prepareJournal sees to it that the node's volume holds its journal, or an empty
// one. An empty one has forgotten what was promised to writers and what they
// wrote, so that it takes part only when nothing depends on that.
func prepareJournal(ctx context.Context, s executor.Sandbox) error {
	l, err := prepare(s)
	if err != nil {
		return err
	}
	dir := filepath.Join(s.Dir, journalDir, l.Service)
	found, err := version(dir)
	switch {
	case err != nil:
		return err
	case found != nil:
		s.Report("journal is there")
		err = l.Identity.check(journalDir, found)
	}
	if err == nil {
		err = l.claim(s.Dir, found)
	}
	if err != nil || found != nil {
		return err
	}
	if err := until(ctx, func(ctx context.Context) error { return l.mayBeEmpty(l.readHistory(ctx)) }); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir+".new", "current"), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir+".new", "current", "VERSION"), []byte(l.Identity.version("JOURNAL_NODE")), 0o644); err != nil {
		return err
	}
	if err := os.Rename(dir+".new", dir); err != nil {
		return err
	}
	if l.self(l.Journals).Member {
		s.Report("journal was emptied, and is filled by the others")
	}
	return nil
}

// prepareData bounds what a data node takes by the size of its volume, which it
// would otherwise take for as large as the disk that it is on.
func prepareData(_ context.Context, s executor.Sandbox) error {
	l, err := prepare(s)
	if err != nil {
		return err
	}
	found, err := version(filepath.Join(s.Dir, dataDir))
	if err == nil {
		err = l.claim(s.Dir, found)
	}
	if err != nil {
		return err
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(filepath.Join(s.Dir, volume), &disk); err != nil {
		return err
	}
	usable := (disk.Blocks - disk.Bfree + disk.Bavail) * uint64(disk.Bsize) // without what is root's alone
	reserved := int64(usable) - int64(l.Disk)<<20
	path := filepath.Join(s.Dir, siteFile)
	site, err := os.ReadFile(path)
	if err != nil || reserved <= 0 {
		return err
	}
	end := []byte("</configuration>")
	property := fmt.Appendf(nil, "<property><name>dfs.datanode.du.reserved</name><value>%d</value></property>\n", reserved)
	return os.WriteFile(path, bytes.Replace(site, end, append(property, end...), 1), 0o644)
}

// tend is the probe of a name node: whether it tells its state. On its way it
// brings the list of the data nodes that leave up to date, as the framework has
// left it in ZooKeeper.
func tend(ctx context.Context, s executor.Sandbox) error {
	l, err := readLayout(s)
	if err != nil {
		return err
	}
	self := l.self(l.Names)
	if _, err := bean(ctx, self.HTTP, "Hadoop:service=NameNode,name=NameNodeStatus"); err != nil {
		return err
	}
	// What keeps the list from being read does not keep the name node from serving.
	if err := l.refresh(ctx, s, self); err != nil {
		fmt.Fprintf(s.Log, "list of data nodes that leave: %v\n", err)
	}
	return nil
}

// refreshPause is between two looks at the list, and refreshWithin how long one may
// take, so that a ZooKeeper that is away does not make a name node look unwell.
const (
	refreshPause  = 5 * time.Second
	refreshWithin = 3 * time.Second
)

// refresh reads the list, unless that was tried just now, and tells the name node
// of a change.
func (l layout) refresh(ctx context.Context, s executor.Sandbox, self peer) error {
	path := filepath.Join(s.Dir, excludeFile)
	tried, told := path+".tried", path+".told"
	if info, err := os.Stat(tried); err == nil && time.Since(info.ModTime()) < refreshPause {
		return nil
	}
	if err := os.WriteFile(tried, nil, 0o644); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, refreshWithin)
	defer cancel()
	list, err := network{}.readExclude(ctx, l.ZooKeeper, l.Service)
	if err != nil {
		return err
	}
	if last, err := os.ReadFile(told); err == nil && string(last) == list {
		return nil
	}
	if err := os.WriteFile(path, []byte(list), 0o644); err != nil {
		return err
	}
	if err := refreshNodes(ctx, self.RPC); err != nil {
		return err
	}
	return os.WriteFile(told, []byte(list), 0o644)
}

// handOver makes another name node the active one before this one stops.
func handOver(ctx context.Context, s executor.Sandbox) error {
	l, err := readLayout(s)
	if err != nil {
		return err
	}
	if me, err := askName(ctx, l.self(l.Names).HTTP); err != nil || !me.Active {
		return err
	}
	errs := []error{errors.New("nobody else is there to take over")}
	for _, p := range l.others(l.Names) {
		state, err := askName(ctx, p.HTTP)
		if err == nil && state.SafeMode != "" {
			err = fmt.Errorf("is in safe mode")
		}
		if err == nil {
			err = failOver(ctx, p.ZKFC)
		}
		if err == nil {
			s.Report("handed over to " + p.Name)
			return nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", p.Name, err))
	}
	return errors.Join(errs...)
}

// release lets the failover controller of a name node that has died notice it and
// give up its lock. If it was ended before that, the others would have to wait
// for the end of its session.
func release(ctx context.Context, s executor.Sandbox) error {
	l, err := readLayout(s)
	if err != nil {
		return err
	}
	self := l.self(l.Names)
	if _, err := bean(ctx, self.HTTP, "Hadoop:service=NameNode,name=NameNodeStatus"); err == nil {
		s.Report("the name node is still there")
		return nil
	}
	return zookeeper(ctx, l.ZooKeeper, func(conn *zk.Conn) error {
		return until(ctx, func(context.Context) error {
			h, err := readHolder(conn, l.Service, lockNode)
			if err == nil && h.name == self.Name {
				err = errors.New("it still has the lock")
			}
			return err
		})
	})
}
