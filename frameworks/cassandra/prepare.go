package cassandra

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/internal/jvm"
)

// The functions that the executor runs on the agent.
const (
	prepareStep = "cassandra-prepare"
	refuseStep  = "cassandra-refuse-clients"
	drainStep   = "cassandra-drain"
	readyStep   = "cassandra-ready"
	liveStep    = "cassandra-live"
)

const (
	// markFile says whose volume it is.
	markFile = volume + "/mesokit-node"
	// ringFile says in which ring a node began that is no member yet: the host ids
	// that there were, or nothing in one that it was to found.
	ringFile = volume + "/mesokit-ring"
	// hostFile says as whom the ring counts on the node that it holds: the host id,
	// which stays when the address changes. It is there once the node has served.
	hostFile = volume + "/mesokit-host"
)

// countedWithin bounds how long the peers of a member are asked: one that hangs must
// not keep it from starting.
const countedWithin = 10 * time.Second

const (
	replaceIt = "replace the node"
	ownData   = "own data found"
)

// Steps are the functions that this framework's executor needs; give them to
// executor.Main.
func Steps() map[string]executor.StepFunc {
	return map[string]executor.StepFunc{
		prepareStep: prepare,
		refuseStep: func(ctx context.Context, s executor.Sandbox) error {
			return local(s).exec(ctx, "stopNativeTransport(boolean)", true)
		},
		drainStep: func(ctx context.Context, s executor.Sandbox) error { return local(s).exec(ctx, "drain()") },
		readyStep: takesClients,
		liveStep:  live,
	}
}

// takesClients waits for a node to open its CQL port. One that lost a peer that it
// was streaming from never does, and stays as it is for ever; meanwhile its peers let
// nobody join, nor that peer be replaced. Started again it joins afresh.
func takesClients(ctx context.Context, s executor.Sandbox) error {
	v, err := local(s).look(ctx)
	switch {
	case err != nil:
		return err
	case v.Mode == failedToJoin:
		return fmt.Errorf("is %s: %w", v.Mode, executor.ErrHopeless)
	case !v.Clients:
		return fmt.Errorf("is %s, and takes no clients yet", v.Mode)
	}
	return recordHost(s.Dir, v.HostID)
}

// recordHost keeps on the volume as whom the ring counts on the node.
func recordHost(dir, id string) error {
	path := filepath.Join(dir, hostFile)
	if had, err := os.ReadFile(path); id == "" || err == nil && string(had) == id {
		return nil
	}
	if err := write(path, id); err != nil {
		return fmt.Errorf("record host id %s: %w", id, err)
	}
	return nil
}

// live says when a node is in a mode that only a new start ends: somebody drained
// it, or it failed to leave, for which its peers let nobody join.
func live(ctx context.Context, s executor.Sandbox) error {
	v, err := local(s).look(ctx)
	if err == nil && (v.Mode == drained || v.Mode == failedToLeave) {
		return fmt.Errorf("is %s, which only a new start ends", v.Mode)
	}
	return nil // one that does not answer may be busy
}

// prepare sees that the volume is the node's own before Cassandra does, which
// would start on any: as a ring of its own on an emptied one whose peers are down,
// beside the true owner on one of another node. And it finds out whose part in
// the ring a node takes that is no member.
func prepare(ctx context.Context, s executor.Sandbox) error {
	env := environment(s)
	if err := jvm.CheckClasspath(s.Dir, env[envClasspath]); err != nil {
		return fmt.Errorf("find the jars of Distribution.Classpath (--cassandra): %w", err)
	}
	if err := jvm.CheckClasspath(s.Dir, env[envJolokia]); err != nil {
		return fmt.Errorf("find the jar of Distribution.Jolokia (--jolokia): %w", err)
	}
	found, err := inspect(s.Dir, env[envRing]+" "+env["NODE"], env[envMember] == "true")
	if err != nil {
		return err
	}
	for _, dir := range []string{temporaryDir, dataDir} {
		if err := os.MkdirAll(filepath.Join(s.Dir, dir), 0o755); err != nil {
			return err
		}
	}
	s.Report(found)
	password, err := os.ReadFile(filepath.Join(s.Dir, secretFile))
	if err != nil {
		return err
	}
	if err := counted(ctx, s.Dir, env, string(password)); err != nil {
		return err
	}
	ring, err := askRing(ctx, env, string(password))
	if err != nil {
		return err
	}
	if err := enter(s.Dir, env, found == ownData, ring); err != nil {
		return err
	}
	config := fmt.Sprintf("host=%s\nport=%s\nuser=%s\npassword=%s\nagentContext=/jolokia\ndiscoveryEnabled=false\nexecutor=cached\n",
		env["HOST"], env["PORT_ADMIN"], adminUser, password)
	return os.WriteFile(filepath.Join(s.Dir, jolokiaFile), []byte(config), 0o600)
}

// inspect says what is on the volume, and refuses what is not the owner's.
func inspect(dir, owner string, member bool) (string, error) {
	const advice = "bring its own volume back, or " + replaceIt
	mark, err := os.ReadFile(filepath.Join(dir, markFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	marked := err == nil
	// A table that every node writes before it joins, and again at each start.
	tables, err := filepath.Glob(filepath.Join(dir, dataDir, "data", "system", "local-*", "*-Data.db"))
	if err != nil {
		return "", err
	}
	switch {
	case marked && string(mark) != owner:
		return "", fmt.Errorf("the volume belongs to %q, not to %q: %s", mark, owner, advice)
	case !marked && member:
		return "", fmt.Errorf("%s was emptied, or is not mounted: it held a node of the ring: %s", volume, advice)
	case !marked && len(tables) > 0:
		return "", fmt.Errorf("%s holds a node of nobody knows which ring: %s", dataDir, advice)
	case len(tables) > 0:
		return ownData, nil
	case member:
		return "", fmt.Errorf("%s was emptied: it held a node of the ring, which must not come back as another: %s", dataDir, advice)
	case marked:
		return "prepared again", nil
	}
	return "prepared", write(filepath.Join(dir, markFile), owner)
}

// counted refuses a member that was taken out of the ring while it was down. Cassandra
// itself would start it with its old tokens and without what was written since, and its
// peers would read from it again. Where nobody serves, as when all of the ring starts,
// nobody has taken it out meanwhile, or nobody can say so, and it starts.
func counted(ctx context.Context, dir string, env map[string]string, password string) error {
	if env[envMember] != "true" {
		return nil
	}
	id, err := os.ReadFile(filepath.Join(dir, hostFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // an executor of before this file started it last
	} else if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, countedWithin)
	defer cancel()
	peers := strings.Fields(env[envPeers])
	seen, failed := make([]view, len(peers)), make([]error, len(peers))
	var all sync.WaitGroup
	for i, peer := range peers {
		all.Go(func() { seen[i], failed[i] = (&jolokia{address: peer, password: password}).look(ctx) })
	}
	all.Wait()
	var serving []view
	for i, v := range seen {
		if failed[i] == nil && v.serves() == nil { // one that has just started knows of nobody yet
			serving = append(serving, v)
		}
	}
	return disowned(serving, string(id))
}

// disowned says that none of those who serve counts on a host; one of them may have
// missed something.
func disowned(serving []view, id string) error {
	if len(serving) == 0 || slices.ContainsFunc(serving, func(v view) bool { return v.has("", []string{id}) }) {
		return nil
	}
	return fmt.Errorf("its ring counts on it (host %s) no more: it left, or was taken out while it was down, and lacks what was written since: %s", id, replaceIt)
}

// askRing asks for the ring that a node is to join. Nil: it is a member, or there is
// none, and it founds one.
func askRing(ctx context.Context, env map[string]string, password string) (*view, error) {
	if env[envMember] == "true" || env[envPeers] == "" {
		return nil, nil
	}
	var errs error
	for peer := range strings.FieldsSeq(env[envPeers]) {
		v, err := (&jolokia{address: peer, password: password}).look(ctx)
		if err == nil {
			err = v.serves() // one that has just started knows of no parts yet
		}
		if err == nil {
			return &v, nil
		}
		errs = errors.Join(errs, fmt.Errorf("%s: %w", peer, err))
	}
	return nil, fmt.Errorf("nobody of the ring says which part in it is to be taken: %w", errs)
}

// afresh has a node that failed to join stream everything again. Otherwise Cassandra
// refuses to start on what it took over before ("Discovered existing bootstrap data"),
// and what is written meanwhile would be lacking from that.
const afresh = "-Dcassandra.reset_bootstrap_progress=true\n"

// enter writes the argument file of the JVM for a node that joins; a member is told
// nothing, nor is who founds the ring. It refuses a node that began in another ring:
// that it founded, or whose members were all replaced, before it arrived. With the
// data of that one it would serve in this one without anything that was ever
// written there.
func enter(dir string, env map[string]string, began bool, ring *view) error {
	arguments := ""
	if env[envMember] != "true" {
		was, err := os.ReadFile(filepath.Join(dir, ringFile))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if began && err == nil && ring != nil && !ring.has(env[envSelf], strings.Fields(string(was))) {
			return fmt.Errorf("%s holds a node of another ring, which is no more: %s", dataDir, replaceIt)
		}
		var hosts []string
		if ring != nil {
			hosts = slices.Sorted(maps.Values(ring.HostIDs))
			arguments = afresh
			if p := ring.part(env[envSelf], env[envFormer], env[envRack]); p != "" {
				arguments += "-Dcassandra.replace_address_first_boot=" + p + "\n"
			}
		}
		if err := write(filepath.Join(dir, ringFile), strings.Join(hosts, "\n")); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, joiningFile), []byte(arguments), 0o644)
}

// write makes a file that is there whole or not at all, also after a power cut.
func write(path, text string) error {
	f, err := os.Create(path + ".new")
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	return err
}

// local is the node that runs in the sandbox.
func local(s executor.Sandbox) *jolokia {
	env := environment(s)
	password, err := os.ReadFile(filepath.Join(s.Dir, secretFile))
	return &jolokia{address: env["HOST"] + ":" + env["PORT_ADMIN"], password: string(password), broken: err}
}

func environment(s executor.Sandbox) map[string]string {
	env := map[string]string{}
	for _, line := range s.Env {
		key, value, _ := strings.Cut(line, "=")
		env[key] = value
	}
	return env
}
