package dist

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// packages are Debian packages that are unpacked, and not installed: neither
// root nor a change of the machine is needed. apt checks who made them.
type packages struct {
	name, version string
	names         []string
}

func (p packages) identity() (name, version string, err error) { return p.name, p.version, nil }

func (p packages) key() string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(p.names, " "))))
}

func (p packages) fetch(ctx context.Context, into string, lock *os.File, report func(string, ...any)) error {
	debs := filepath.Join(into, ".packages")
	if err := os.Mkdir(debs, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(debs)
	report("downloading %d packages from Debian, once", len(p.names))
	// apt-get goes down to a user of its own, who may not write here, and warns of it.
	args := append([]string{"-o", "APT::Sandbox::User=root", "--quiet", "download"}, p.names...)
	if err := run(ctx, debs, lock, "apt-get", args...); err != nil {
		return fmt.Errorf("%w; apt-get update may help, as root, on a machine that is new", err)
	}
	found, err := filepath.Glob(filepath.Join(debs, "*.deb"))
	if err != nil {
		return err
	}
	if len(found) != len(p.names) {
		return fmt.Errorf("%d packages have come of %d", len(found), len(p.names))
	}
	for _, deb := range found {
		if err := run(ctx, debs, lock, "dpkg-deb", "--extract", deb, into); err != nil {
			return err
		}
	}
	return nil
}

// run runs a program of Debian to its end.
func run(ctx context.Context, dir string, lock *os.File, program string, args ...string) error {
	path, err := exec.LookPath(program)
	if err != nil {
		return fmt.Errorf("%s was not found (%w): this distribution is obtained on Debian or Ubuntu only", program, err)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = dir
	cmd.ExtraFiles = []*os.File{lock}
	endsAsGroup(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("%s was stopped: %w", program, context.Cause(ctx))
		}
		return fmt.Errorf("%s: %w: %s", program, err, lastLines(string(out), 4))
	}
	return nil
}
