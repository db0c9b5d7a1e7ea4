// Quickstart runs three real Kafka brokers on an embedded Mesos, kills one
// while messages are produced, and counts what came back.
//
//	go run ./examples/quickstart          # stays up until Ctrl-C
//	go run ./examples/quickstart -once    # ends by itself
//
// It needs java 17 or newer and, the first time, mvn. All files but the cached
// Kafka are in a temporary directory and go with it. It exits with 0 only if
// every acknowledged message came back.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/kafka"
	"github.com/mesokit/mesokit/internal/dist"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
	"github.com/mesokit/mesokit/scheduler/state"
)

func main() {
	// The agents start this same program to supervise a broker.
	executor.Main(executor.Config{Steps: kafka.Steps()})
	once := flag.Bool("once", false, "end after the messages were counted")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	if err := run(ctx, os.Stdout, *once); err != nil {
		fmt.Fprintf(os.Stderr, "quickstart: %v\n", err)
		stop()
		os.Exit(1)
	}
}

// run takes all the steps. It returns nil when ctx ends after they are done.
func run(ctx context.Context, out io.Writer, once bool) (err error) {
	say := newLines(out)
	server, err := dist.Kafka(ctx, func(line string) { say.print("%s", line) })
	if err != nil {
		return err
	}
	say.print("kafka %s is in %s", server.Version, server.Dir)

	dir, err := os.MkdirTemp("", "mesokit-quickstart-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	mesos, err := startMesos(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, mesos.Close()) }()
	say.print("mesos: a master at %s, %d agents in 2 racks", mesos.URL(), len(mesos.Agents()))

	service, err := serve(ctx, mesos.Master(), filepath.Join(dir, "state"), cluster(server), say)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, service.stop()) }()
	result, err := service.try(service.ctx)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted: %w", context.Cause(ctx))
	case service.ctx.Err() != nil:
		return nil // the scheduler has ended, and stop says why
	case err != nil:
		return err
	}
	say.close()
	fmt.Fprintln(out, result)
	if result.lost() > 0 {
		return fmt.Errorf("%d acknowledged messages were lost", result.lost())
	}
	if !once {
		service.invite(out, mesos.URL())
		say.open(out)
		defer say.close()
		<-service.ctx.Done()
	}
	return nil
}

func startMesos(ctx context.Context, dir string) (*mesostest.Cluster, error) {
	config := mesostest.Config{Dir: dir}
	for i := range 4 {
		config.Agents = append(config.Agents, mesostest.AgentConfig{
			Resources:  "cpus:2;mem:1024;disk:4096;ports:[31000-31099]",
			Attributes: fmt.Sprintf("rack:r%d", 1+i/2),
		})
	}
	// What ends the cluster is run, after the scheduler has ended.
	return mesostest.Start(context.WithoutCancel(ctx), config)
}

// cluster declares three brokers that start quickly and need little.
func cluster(server dist.Distribution) kafka.Cluster {
	flags := []string{"-Xms32m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"}
	if server.ClassArchive != "" {
		flags = append(flags, "-XX:SharedArchiveFile="+server.ClassArchive)
	}
	return kafka.Cluster{
		Brokers: 3, CPUs: 0.5, Mem: 512, Heap: 160, Disk: 1024,
		Place:         constraints.MustParse("hostname:UNIQUE", "rack:GROUP_BY:2"),
		RackAttribute: "rack",
		Distribution:  kafka.Distribution{Java: server.Java, Classpath: server.Classpath(), Flags: flags},
		// How soon the others notice that a broker is gone; 9 s and 2 s by default.
		Options: map[string]string{
			"broker.session.timeout.ms":        "3000",
			"broker.heartbeat.interval.ms":     "500",
			"group.initial.rebalance.delay.ms": "0",
		},
	}
}

// service is the Kafka framework, running in this process.
type service struct {
	frameworks.Client
	say   *lines
	ctx   context.Context // ends with the scheduler
	end   context.CancelFunc
	store *state.File
	ended chan struct{}
	err   error // of the scheduler, once it has ended
}

func serve(ctx context.Context, master, dir string, cluster kafka.Cluster, say *lines) (*service, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	store, err := state.OpenFile(dir)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	s := &service{
		Client: frameworks.Client{URL: "http://" + listener.Addr().String()},
		say:    say, store: store, ended: make(chan struct{}),
	}
	s.ctx, s.end = context.WithCancel(ctx)
	go func() {
		defer close(s.ended)
		defer s.end()
		s.err = frameworks.Run(s.ctx, frameworks.Config{
			Service:  cluster.Service(),
			Listener: listener,
			Scheduler: scheduler.Config{
				Master: master, Store: store, Logger: slog.New(say),
			},
		})
	}()
	return s, nil
}

// stop ends the scheduler; the brokers end with their agents.
func (s *service) stop() error {
	s.end()
	<-s.ended
	return errors.Join(s.err, s.store.Close())
}

// try produces messages while a broker dies, and counts what came back.
func (s *service) try(ctx context.Context) (result, error) {
	const brokers = 3
	status, err := s.await(ctx, func(st frameworks.Status) bool { return st.Ready == brokers })
	if err != nil {
		return result{}, err
	}
	m, err := newMessages(ctx, status.Nodes)
	if err != nil {
		return result{}, err
	}
	defer m.close()
	s.say.print("topic %s: 3 replicas, min.insync.replicas 2; producing %d messages with acks=all", topic, count)

	victim := status.Nodes[1]
	if err := m.produce(ctx, func() error { return s.kill(victim) }); err != nil {
		return result{}, err
	}
	s.say.print("%d messages acknowledged", m.acknowledged())
	if err := s.awaitReturn(ctx, victim); err != nil {
		return result{}, err
	}
	if err := m.consume(ctx); err != nil {
		return result{}, err
	}
	return m.result(), nil
}

// await asks for the status until it is as wanted.
func (s *service) await(ctx context.Context, wanted func(frameworks.Status) bool) (frameworks.Status, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 5*time.Minute, errors.New("not ready after 5 minutes"))
	defer cancel()
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for {
		status, err := s.Status(ctx)
		switch {
		case ctx.Err() != nil:
			return status, context.Cause(ctx)
		case err != nil:
			return status, err
		case wanted(status):
			return status, nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
		}
	}
}

// kill ends a broker's JVM as a lack of memory would.
func (s *service) kill(n frameworks.NodeStatus) error {
	pid, ok := s.say.pid(n.Name)
	if !ok {
		return fmt.Errorf("%s has not said which process it is", n.Name)
	}
	s.say.print("kill -9 %d, the JVM of %s", pid, n.Name)
	process, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return process.Kill()
}

// awaitReturn waits for the next task of a broker, and compares where it runs.
func (s *service) awaitReturn(ctx context.Context, before frameworks.NodeStatus) error {
	status, err := s.await(ctx, func(st frameworks.Status) bool {
		n := find(st, before.Name)
		return n.Ready && n.Incarnation > before.Incarnation
	})
	if err != nil {
		return err
	}
	after := find(status, before.Name)
	if was, is := residence(before), residence(after); was != is {
		return fmt.Errorf("%s came back as %s; it was %s", before.Name, is, was)
	}
	s.say.print("%s is back: still %s", after.Name, residence(after))
	return nil
}

func find(status frameworks.Status, name string) frameworks.NodeStatus {
	for _, n := range status.Nodes {
		if n.Name == name {
			return n
		}
	}
	return frameworks.NodeStatus{}
}

// residence is everything about a broker's place that must not change.
func residence(n frameworks.NodeStatus) string {
	var text strings.Builder
	text.WriteString(fmt.Sprintf("broker id %d, agent %s, client port %d, controller port %d",
		n.Index, n.Place.Hostname, n.Place.Ports["client"], n.Place.Ports["controller"]))
	for _, r := range n.Place.Resources {
		if p := r.GetDisk().GetPersistence(); p != nil {
			text.WriteString(", volume " + p.ID)
		}
	}
	return text.String()
}

// invite says what can be tried while everything runs.
func (s *service) invite(out io.Writer, master string) {
	fmt.Fprintf(out, `
The Kafka framework's API is at %[1]s/v1/status, the Mesos master at %[2]s/state.
Try, in another terminal:

    go run ./frameworks/kafka/mesos-kafka status --api %[1]s
    go run ./frameworks/kafka/mesos-kafka broker restart 2 --api %[1]s
    go run ./frameworks/kafka/mesos-kafka broker add --api %[1]s

Ctrl-C ends everything.
`, s.URL, master)
}
