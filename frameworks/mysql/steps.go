package mysql

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/mesokit/mesokit/executor"
)

// The functions that the executor runs on the agent.
const (
	initialiseStep = "mysql-initialise"
	copiesStep     = "mysql-copies"
	lapseStep      = "mysql-lapse"
	leaseStep      = "mysql-lease"
	endPrimaryStep = "mysql-end-primary"
)

// Steps are the functions that this framework's executor needs; give them to
// executor.Main.
func Steps() map[string]executor.StepFunc {
	return map[string]executor.StepFunc{
		initialiseStep: initialise,
		copiesStep:     offerCopies,
		lapseStep:      lapse,
		leaseStep:      regain,
		endPrimaryStep: endPrimary,
	}
}

// maker makes a data directory.
type maker struct {
	executor.Sandbox
	flavor flavor
	env    map[string]string
}

// base is where the server's programs are.
func (m maker) base() string { return m.env[envBase] }

// initialise makes the data directory, once: beside its place, and moved there
// whole, so that what was cut leaves nothing that looks like one. A volume that
// held a member and is empty now is refused: the member would come back without
// what it has acknowledged.
func initialise(ctx context.Context, s executor.Sandbox) error {
	m := maker{Sandbox: s, env: environment(s)}
	if err := os.MkdirAll(filepath.Join(s.Dir, temporaryDir), 0o700); err != nil {
		return err
	}
	f, ok := flavors[m.env[envFlavor]]
	if !ok {
		return fmt.Errorf("%s: %q: wants a flavor", envFlavor, m.env[envFlavor])
	}
	m.flavor = f
	if _, err := os.Stat(filepath.Join(m.base(), f.server())); err != nil {
		return fmt.Errorf("find the server of Distribution.Dir (--server): %w", err)
	}
	dir := filepath.Join(s.Dir, dataDir)
	switch _, err := os.Stat(filepath.Join(dir, "ibdata1")); {
	case err == nil:
		s.Report("already initialised")
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	case m.env[envMember] == "true":
		return fmt.Errorf("%s was emptied, or is not mounted: it held a member; bring it back, or replace the member", dataDir)
	}
	if err := m.provision(ctx, dir+".new"); err != nil {
		return err
	}
	return os.Rename(dir+".new", dir)
}

// initialise makes an empty data directory with the framework's accounts.
func (m maker) initialise(ctx context.Context, dir string) error {
	sql, err := accounts(m.Sandbox)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := m.flavor.initialise(ctx, m.Sandbox, m.base(), dir, sql); err != nil {
		return fmt.Errorf("initialise %s: %w", dataDir, err)
	}
	return nil
}

// accounts are the statements that make the framework's own accounts. The
// passwords are letters, digits, hyphens and underscores.
func accounts(s executor.Sandbox) (string, error) {
	operate, err := secret(s, operatorSecret)
	if err != nil {
		return "", err
	}
	replicate, err := secret(s, copySecret)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf(`ALTER USER root@localhost IDENTIFIED BY '%[2]s';
CREATE USER '%[1]s'@'%%' IDENTIFIED BY '%[2]s';
GRANT ALL ON *.* TO '%[1]s'@'%%' WITH GRANT OPTION;
CREATE USER '%[3]s'@'%%' IDENTIFIED BY '%[4]s';
GRANT REPLICATION SLAVE ON *.* TO '%[3]s'@'%%';
`, operator, operate, copier, replicate), nil
}

func secret(s executor.Sandbox, name string) (string, error) {
	value, err := os.ReadFile(filepath.Join(s.Dir, secretsDir, name))
	return string(value), err
}

// lapse is for the end of a lease: a member that takes no writes may stay. Any
// other is an error, and the executor kills it. It is marked before it is looked
// at, and who promotes it looks for the mark after it has made it writable. So
// whichever comes first, it does not take writes without a lease.
func lapse(ctx context.Context, s executor.Sandbox) error {
	return onServer(ctx, s, func(server *session, f flavor) error {
		if err := server.do(ctx, f.lapse(true)); err != nil {
			return err
		}
		return harmless(ctx, server, f)
	})
}

// regain is for when the lease is granted again.
func regain(ctx context.Context, s executor.Sandbox) error {
	return onServer(ctx, s, func(server *session, f flavor) error { return server.do(ctx, f.lapse(false)) })
}

// harmless is an error where a server takes writes.
func harmless(ctx context.Context, server *session, f flavor) error {
	m, err := f.look(ctx, server)
	if err == nil && m.Writable {
		err = errWritable
	}
	return err
}

// onServer does something in a session with the member's own server.
func onServer(ctx context.Context, s executor.Sandbox, do func(*session, flavor) error) error {
	env := environment(s)
	password, err := secret(s, operatorSecret)
	if err != nil {
		return err
	}
	server, err := dial(ctx, env["HOST"]+":"+env["PORT_MYSQL"], password)
	if err != nil {
		return err
	}
	defer server.close()
	return do(server, flavors[env[envFlavor]])
}

var errWritable = errors.New("takes writes")

// endPrimary is for a stop that somebody asked for, perhaps not the framework but
// an agent that is drained: a member that takes writes gets a little time in which
// the failover may have it hand over. Then it is killed, because at SIGTERM it
// would acknowledge what no replica has. One that has handed over waits as long
// for its replicas to follow the other: MySQL would wait for them longer.
func endPrimary(ctx context.Context, s executor.Sandbox) error {
	patience, cancel := context.WithTimeout(ctx, handOverWithin)
	defer cancel()
	for {
		short, cancel := context.WithTimeout(ctx, harmlessWithin)
		err := onServer(short, s, func(server *session, f flavor) error { return unneeded(short, server, f) })
		cancel()
		followed := errors.Is(err, errFollowed)
		if err == nil || followed && patience.Err() != nil {
			return nil
		}
		// (A primary that nobody follows has nobody to hand over to.)
		if !followed && !errors.Is(err, errWritable) || patience.Err() != nil {
			return killServer(s)
		}
		select {
		case <-patience.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
}

var (
	errFollowed = errors.New("is followed by replicas")
	errAlone    = errors.New("takes writes, and is followed by nobody")
)

// unneeded is an error where a server takes writes, or has replicas.
func unneeded(ctx context.Context, server *session, f flavor) error {
	m, err := f.look(ctx, server)
	switch {
	case err != nil:
		return err
	case m.Writable && m.Replicas == 0:
		return errAlone
	case m.Writable:
		return errWritable
	case m.Replicas > 0:
		return errFollowed
	}
	return nil
}

func killServer(s executor.Sandbox) error {
	text, err := os.ReadFile(filepath.Join(s.Dir, pidFile))
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid < 2 {
		return fmt.Errorf("%s: %q: wants a process id", pidFile, text)
	}
	return syscall.Kill(pid, syscall.SIGKILL)
}

func environment(s executor.Sandbox) map[string]string {
	env := map[string]string{}
	for _, line := range s.Env {
		key, value, _ := strings.Cut(line, "=")
		env[key] = value
	}
	return env
}
