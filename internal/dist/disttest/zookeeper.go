package disttest

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mesokit/mesokit/internal/dist"
)

// ZooKeeperServer is one real ZooKeeper on loopback. It ends with its test.
type ZooKeeperServer struct {
	Address  string // host:port
	dist     dist.Distribution
	dir      string
	settings []string
	cmd      *exec.Cmd
}

// ZooKeeper starts a real ZooKeeper and waits until it serves. Without one the
// test ends here, as with [Kafka]. Sessions live two seconds, so that a test can
// see them expire; settings are lines of zoo.cfg that say otherwise, such as
// "maxSessionTimeout=20000".
func ZooKeeper(t testing.TB, settings ...string) *ZooKeeperServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	z := &ZooKeeperServer{Address: l.Addr().String(), dist: obtain(t, dist.ZooKeeper), dir: t.TempDir(), settings: settings}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { z.Stop(t) })
	z.Start(t)
	return z
}

// Start starts the server again after Stop, with the data that it had.
func (z *ZooKeeperServer) Start(t testing.TB) {
	t.Helper()
	_, port, err := net.SplitHostPort(z.Address)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(z.dir, "zoo.cfg")
	text := fmt.Sprintf(`tickTime=500
maxSessionTimeout=2000
dataDir=%s
clientPort=%s
clientPortAddress=127.0.0.1
admin.enableServer=false
4lw.commands.whitelist=srvr,dump
maxClientCnxns=0
%s
`, filepath.Join(z.dir, "data"), port, strings.Join(z.settings, "\n"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	z.cmd = exec.Command(z.dist.Java, "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-cp", z.dist.Classpath(), "org.apache.zookeeper.server.quorum.QuorumPeerMain", config)
	z.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := z.cmd.Start(); err != nil {
		t.Fatalf("start ZooKeeper: %v", err)
	}
	deadline := time.Now().Add(time.Minute)
	for !z.serves() {
		if time.Now().After(deadline) {
			t.Fatalf("ZooKeeper at %s does not serve", z.Address)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// Stop ends the server. Its sessions and nodes are kept for the next Start.
func (z *ZooKeeperServer) Stop(t testing.TB) {
	t.Helper()
	if z.cmd == nil {
		return
	}
	if err := z.cmd.Process.Kill(); err != nil {
		t.Errorf("stop ZooKeeper: %v", err)
	}
	_ = z.cmd.Wait() // it was killed
	z.cmd = nil
}

// Sessions is how many sessions the server knows of.
func (z *ZooKeeperServer) Sessions(t testing.TB) int {
	t.Helper()
	lines, err := z.ask("dump")
	if err != nil {
		t.Fatalf("ask ZooKeeper for its sessions: %v", err)
	}
	n := 0
	for _, line := range lines {
		if strings.HasPrefix(line, "\t0x") {
			n++
		}
	}
	return n
}

// serves asks by a four-letter word: the port answers before the server does.
func (z *ZooKeeperServer) serves() bool {
	lines, err := z.ask("srvr")
	return err == nil && slices.ContainsFunc(lines, func(line string) bool {
		return strings.HasPrefix(line, "Mode: ")
	})
}

func (z *ZooKeeperServer) ask(word string) ([]string, error) {
	conn, err := net.DialTimeout("tcp", z.Address, time.Second)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	// A server that is starting takes the word and never answers.
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return nil, err
	}
	if _, err := conn.Write([]byte(word)); err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(conn)
	return strings.Split(string(answer), "\n"), err
}
