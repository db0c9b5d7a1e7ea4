package dist

import (
	"context"
	_ "embed"
	"fmt"
	"os/exec"
	"path/filepath"
)

//go:embed mysql.xml
var mysqlPOM []byte

var mysql = recipe{
	from: pom{text: mysqlPOM, large: true},
	check: func(ctx context.Context, d Distribution) error {
		return runs(ctx, filepath.Join(d.Dir, "bin", "mysqld"),
			"it is for Linux on x86-64 and wants the libraries libaio.so.1 and libnuma.so.1: apt-get install libaio1 libnuma1 (Debian 12)")
	},
}

// MySQL returns the MySQL that mysql.xml describes, as [Kafka] does: bin/mysqld
// and the clients in its Dir, plugins in lib/plugin.
func MySQL(ctx context.Context, progress func(line string)) (Distribution, error) {
	return mysql.inUserCache(ctx, progress)
}

var mariadb = recipe{
	from: packages{
		name: "mariadb", version: "debian",
		names: []string{"mariadb-server-core", "mariadb-client-core", "mariadb-client", "mariadb-backup", "libmariadb3", "libaio1", "liburing2"},
	},
	check: func(ctx context.Context, d Distribution) error {
		return runs(ctx, filepath.Join(d.Dir, "usr", "sbin", "mariadbd"),
			"it wants what every Debian 12 has: apt-get install libnuma1 libpcre2-8-0 libssl3 libsystemd0 libedit2 libncurses6",
			"LD_LIBRARY_PATH="+filepath.Join(d.Dir, "usr", "lib", "x86_64-linux-gnu"))
	},
}

// MariaDB returns the MariaDB of this Debian (12 has 10.11), unpacked and not
// installed, as [Kafka] does: usr/sbin/mariadbd, usr/bin/mariadb-install-db and
// so on in its Dir. Its programs want LD_LIBRARY_PATH to name
// usr/lib/x86_64-linux-gnu there.
func MariaDB(ctx context.Context, progress func(line string)) (Distribution, error) {
	return mariadb.inUserCache(ctx, progress)
}

// runs sees whether a program finds its libraries, and says what to install.
func runs(ctx context.Context, program, install string, env ...string) error {
	cmd := exec.CommandContext(ctx, program, "--version")
	cmd.Env = append(cmd.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s --version: %w: %s: %s", program, err, lastLines(string(out), 3), install)
	}
	return nil
}
