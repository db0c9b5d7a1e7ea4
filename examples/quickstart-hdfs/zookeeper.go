package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/mesokit/mesokit/examples/internal/quickstart"
	"github.com/mesokit/mesokit/internal/dist"
)

// orphan is a shell script that runs its arguments until its input ends, which it
// does also when this process is killed.
const orphan = `"$@" & read -r _; kill -9 $!; wait $!`

// startZooKeeper starts the ZooKeeper that comes with HDFS, and returns its
// address.
func startZooKeeper(ctx context.Context, s *quickstart.Stage, d dist.Distribution) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	address := l.Addr().(*net.TCPAddr)
	if err := l.Close(); err != nil {
		return "", err
	}
	dir := filepath.Join(s.Dir, "zookeeper")
	config := filepath.Join(dir, "zoo.cfg")
	text := fmt.Sprintf("tickTime=500\ndataDir=%s\nclientPort=%d\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\nmaxClientCnxns=0\n", dir, address.Port)
	if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(config, []byte(text), 0o644)); err != nil {
		return "", err
	}
	c := exec.Command("sh", "-c", orphan, "sh", d.Java, "-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData",
		"-cp", d.Classpath(), "org.apache.zookeeper.server.ZooKeeperServerMain", config)
	c.Dir = dir
	input, err := c.StdinPipe()
	if err != nil {
		return "", err
	}
	if err := c.Start(); err != nil {
		return "", err
	}
	s.Cleanup(func() error {
		input.Close()
		_ = c.Wait() // it was killed
		return nil
	})
	return address.String(), awaitZooKeeper(ctx, address.String())
}

func awaitZooKeeper(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("ZooKeeper did not come up within a minute"))
	defer cancel()
	conn, events, err := zk.Connect([]string{address}, 4*time.Second, zk.WithLogger(silent{}))
	if err != nil {
		return err
	}
	defer conn.Close()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case e := <-events:
			if e.State == zk.StateHasSession {
				return nil
			}
		}
	}
}

type silent struct{}

func (silent) Printf(string, ...any) {}
