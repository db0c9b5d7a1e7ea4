package disttest

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/mesokit/mesokit/internal/dist"
)

// The environment that decides. CI services set CI=true; make test names a file
// for what was not run.
const (
	ci     = "CI"
	notRun = "MESOKIT_NOT_RUN"
)

// downloadTime bounds the first test on a machine, which downloads a server:
// 18 to 553 MB.
const downloadTime = 10 * time.Minute

// Kafka returns a real Apache Kafka. Without one the test ends here: it fails if
// CI=true, and is otherwise skipped with a line for make test to print.
func Kafka(t testing.TB) dist.Distribution {
	t.Helper()
	return obtain(t, dist.Kafka)
}

// Cassandra returns a real Apache Cassandra, or ends the test as [Kafka] does.
func Cassandra(t testing.TB) dist.Distribution {
	t.Helper()
	return obtain(t, dist.Cassandra)
}

// HDFS returns a real Apache HDFS, or ends the test as [Kafka] does.
func HDFS(t testing.TB) dist.Distribution {
	t.Helper()
	return obtain(t, dist.HDFS)
}

// MySQL returns a real MySQL, or ends the test as [Kafka] does.
func MySQL(t testing.TB) dist.Distribution {
	t.Helper()
	return obtain(t, dist.MySQL)
}

// MariaDB returns a real MariaDB, or ends the test as [Kafka] does.
func MariaDB(t testing.TB) dist.Distribution {
	t.Helper()
	return obtain(t, dist.MariaDB)
}

func obtain(t testing.TB, distribution func(context.Context, func(string)) (dist.Distribution, error)) dist.Distribution {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), downloadTime)
	defer cancel()
	d, err := distribution(ctx, func(line string) { t.Log(line) })
	if err == nil {
		return d
	}
	if os.Getenv(ci) == "true" {
		t.Fatalf("a real server is needed and could not be had: %v", err)
	}
	if err := record(os.Getenv(notRun), fmt.Sprintf("%s: %v", t.Name(), err)); err != nil {
		t.Fatalf("this test cannot run, and %s cannot be told: %v", notRun, err)
	}
	t.Skipf("NOT RUN, because a real server could not be had: %v", err)
	return dist.Distribution{}
}

// record adds a line to the file of tests that were not run, if there is one.
func record(path, line string) error {
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(f, line); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
