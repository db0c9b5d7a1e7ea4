package mysql

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/internal/dist/disttest"
)

// TestLatePromotions has one real server of each flavor, because servers are dear.
func TestLatePromotions(t *testing.T) {
	t.Parallel()
	for _, flavor := range flavored {
		t.Run(flavor, func(t *testing.T) {
			t.Parallel()
			o := startServer(t, flavor)
			epoch := 1
			for at := range o.flavor.promote(member{}, 0) {
				if !t.Run(fmt.Sprint("it is suspended before statement ", at), func(t *testing.T) { interrupted(t, o, at, epoch) }) {
					return
				}
				epoch++
			}
			t.Run("another hand-over is late", func(t *testing.T) { takenBack(t, o, epoch) })
			t.Run("the lease has ended", func(t *testing.T) { ended(t, o, epoch+1) })
		})
	}
}

// interrupted: a scheduler is suspended before a statement of a promotion. Another
// finishes that promotion, and later has the member hand over, while its server goes
// on. What the first then still says makes nobody writable.
func interrupted(t *testing.T, o one, at, epoch int) {
	gate, _, err := o.reach(t.Context(), o.d, o.node())
	require.NoError(t, err)
	defer gate.close()
	require.NoError(t, gate.do(t.Context(), "DO GET_LOCK('suspended', 1)"))
	suspended, late := o.set, make(chan error, 1)
	suspended.flavor = gated{o.flavor, at}
	go func() {
		_, err := suspended.promote(t.Context(), o.d, o.node(), epoch)
		late <- err
	}()
	require.Eventually(t, func() bool {
		var waiting int
		err := gate.row(t.Context(), "SELECT COUNT(*) FROM information_schema.processlist WHERE state='User lock'", &waiting)
		return assert.NoError(t, err) && waiting == 1
	}, patient, 10*time.Millisecond, "the promotion does not come to statement %d", at)

	o.promotes(t, epoch)
	o.yields(t, epoch)
	require.NoError(t, gate.do(t.Context(), "DO RELEASE_LOCK('suspended')"))
	require.ErrorIs(t, <-late, errSuperseded, "suspended before statement %d", at)
	o.isReadOnly(t)
}

// takenBack: a hand-over of an earlier epoch that is late, too, opens no door.
func takenBack(t *testing.T, o one, epoch int) {
	o.promotes(t, epoch)
	o.yields(t, epoch)
	o.yields(t, epoch-1)
	_, err := o.promote(t.Context(), o.d, o.node(), epoch)
	require.ErrorIs(t, err, errSuperseded)
	o.isReadOnly(t)
}

// ended: the statements themselves refuse where the lease has ended, so that a member
// is not writable for a moment, either.
func ended(t *testing.T, o one, epoch int) {
	session, seen, err := o.reach(t.Context(), o.d, o.node())
	require.NoError(t, err)
	defer session.close()
	require.False(t, seen.Lapsed)
	require.NoError(t, session.do(t.Context(), o.flavor.lapse(true)))
	require.NoError(t, session.do(t.Context(), o.flavor.promote(seen, epoch)...))
	o.isReadOnly(t)
	require.NoError(t, session.do(t.Context(), o.flavor.lapse(false)))
	o.promotes(t, epoch)
}

// one is a member on a real server, which has followed nobody.
type one struct {
	set
	d frameworks.Deployment
}

func (o one) node() frameworks.Node { return o.d.Nodes[0] }

// gated is a flavor whose promotions wait before one of their statements.
type gated struct {
	flavor
	at int
}

func (g gated) promote(m member, epoch int) []string {
	return slices.Insert(g.flavor.promote(m, epoch), g.at, "DO GET_LOCK('suspended', 600)")
}

func (o one) promotes(t *testing.T, epoch int) {
	t.Helper()
	_, err := o.promote(t.Context(), o.d, o.node(), epoch)
	require.NoError(t, err)
	require.Equal(t, "0", o.variable(t, "read_only"), "it is the primary of epoch %d", epoch)
}

// yields hands over, to itself: it has all that it has, and there is no other.
func (o one) yields(t *testing.T, epoch int) {
	t.Helper()
	require.NoError(t, o.yield(t.Context(), o.d, memory{Epoch: epoch, Next: o.node().Name}, o.node()))
	o.isReadOnly(t)
}

func (o one) isReadOnly(t *testing.T) {
	t.Helper()
	require.Equal(t, "1", o.variable(t, "read_only"))
	if o.Flavor == "mysql" {
		require.Equal(t, "1", o.variable(t, "super_read_only"))
	}
}

func (o one) variable(t *testing.T, name string) (value string) {
	t.Helper()
	session, _, err := o.reach(t.Context(), o.d, o.node())
	require.NoError(t, err)
	defer session.close()
	require.NoError(t, session.row(t.Context(), "SELECT @@GLOBAL."+name, &value))
	return value
}

// patient bounds the wait for a real server.
const patient = time.Minute

// startServer starts a member as its executor would.
func startServer(t *testing.T, flavor string) one {
	t.Helper()
	c := Cluster{Flavor: flavor, Mem: 256, Buffer: 16, AdminHash: Hash("secret")}.withDefaults()
	if flavor == "mysql" {
		c.Distribution.Dir = disttest.MySQL(t).Dir
		c.Options = map[string]string{"innodb_redo_log_capacity": "16M"}
	} else {
		c.Distribution.Dir = filepath.Join(disttest.MariaDB(t).Dir, "usr")
		c.Distribution.Libraries = filepath.Join(c.Distribution.Dir, "lib", "x86_64-linux-gnu")
		c.Options = map[string]string{"innodb_log_file_size": "16M"}
	}
	const password = "secret"
	o := one{set: set{Cluster: c, flavor: flavors[flavor]}}
	o.dial = func(ctx context.Context, address, _ string) (*session, error) { return dial(ctx, address, password) }
	o.d.Nodes = []frameworks.Node{{
		Name: "member-0", Pod: pod, Generation: 1, Incarnation: 1,
		Place: &frameworks.Place{Address: "127.0.0.1", Ports: map[string]uint64{port: freePort(t)}},
	}}
	s := sandboxOf(t, o, password)
	require.NoError(t, initialise(t.Context(), s))
	server := exec.CommandContext(t.Context(), filepath.Join(c.Distribution.Dir, o.flavor.server()), "--defaults-file="+filepath.Join(s.Dir, configFile))
	server.Dir, server.Env = s.Dir, s.Env
	require.NoError(t, server.Start())
	t.Cleanup(func() { _ = server.Wait() }) // it is killed when the test's context ends, before
	require.Eventually(t, func() bool {
		session, _, err := o.reach(t.Context(), o.d, o.node())
		if err == nil {
			session.close()
		}
		return err == nil
	}, patient, 50*time.Millisecond, "the server does not answer")
	return o
}

// sandboxOf makes the directory of a member whose task begins.
func sandboxOf(t *testing.T, o one, password string) executor.Sandbox {
	t.Helper()
	dir := t.TempDir()
	text, err := o.config(o.node())
	require.NoError(t, err)
	text = os.Expand(text, func(string) string { return dir })
	require.NoError(t, os.WriteFile(filepath.Join(dir, configFile), []byte(text), 0o600))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, secretsDir), 0o700))
	require.NoError(t, os.Mkdir(filepath.Join(dir, volume), 0o700))
	for _, name := range []string{operatorSecret, copySecret} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, secretsDir, name), []byte(password), 0o600))
	}
	env := append(os.Environ(), envFlavor+"="+o.Flavor, envBase+"="+o.Distribution.Dir, "LD_LIBRARY_PATH="+o.Distribution.Libraries)
	run := func(ctx context.Context, args ...string) error {
		command := exec.CommandContext(ctx, args[0], args[1:]...)
		command.Dir, command.Env = dir, env
		if output, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", args[0], err, output)
		}
		return nil
	}
	return executor.Sandbox{Dir: dir, Env: env, Log: io.Discard, Run: run, Report: func(string) {}}
}

func freePort(t *testing.T) uint64 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, number, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	parsed, err := strconv.ParseUint(number, 10, 16)
	require.NoError(t, err)
	return parsed
}
