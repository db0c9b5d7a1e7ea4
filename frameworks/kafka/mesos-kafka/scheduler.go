package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/kafka"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/state"
)

// settings are the flags of the scheduler command.
type settings struct {
	cluster kafka.Cluster

	master, state, api, apiURL string
	secretFile                 string

	// Flags that are read into the cluster.
	constraints                []string
	clientPort, controllerPort string
	options, pluginOptions     []string
	kafka                      string
}

func schedulerCommand() *cobra.Command {
	var s settings
	c := &cobra.Command{
		Use:   "scheduler",
		Short: "Run the scheduler until it is told to stop; the brokers go on without it",
		Long: `Run the scheduler: it declares a Kafka cluster, brings it about, and keeps it so.

SIGINT and SIGTERM end it and leave the brokers running; so does a crash.
Started again with the same --state it goes on where it was. Flags that were
changed meanwhile hold for each broker from its next start on (broker restart),
and those for cpus, memory, disk, ports and constraints from its next place on
(broker replace).`,
		Args: usage(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return s.run(c.Context()) },
	}
	s.addFlags(c)
	return c
}

func (s *settings) addFlags(c *cobra.Command) {
	f, k := c.Flags(), &s.cluster
	f.StringVar(&s.master, "master", "", `the masters: "host:port", several with commas between, or "zk://host:port/mesos"`)
	f.StringVar(&s.state, "state", "", "directory of this scheduler's memory, on a local disk")
	f.StringVar(&s.api, "api", "127.0.0.1:7000", "address on which operators and agents are served")
	f.StringVar(&s.apiURL, "api-url", "", "how agents reach that address (default http:// and --api)")
	f.StringVar(&s.secretFile, "secret-file", "", "file with the secret of --principal, where the master authenticates frameworks")

	f.StringVar(&k.Name, "name", "kafka", "name of the service, of its tasks and of its role")
	f.IntVar(&k.Brokers, "brokers", 3, "number of brokers of a new cluster; later: broker add")
	f.Float64Var(&k.CPUs, "cpus", 1, "of each broker")
	f.IntVar(&k.Mem, "mem", 2048, "of each broker, in MiB")
	f.IntVar(&k.Heap, "heap", 0, "of each JVM, in MiB (default half of --mem)")
	f.IntVar(&k.Disk, "disk", 5120, "of each broker's volume, in MiB")
	f.StringArrayVar(&s.constraints, "constraint", nil, `which agents will do, such as "rack:GROUP_BY:3" (repeatable; default hostname:UNIQUE)`)
	f.StringVar(&k.RackAttribute, "rack-attribute", "", "agent attribute that becomes broker.rack")
	f.StringVar(&s.clientPort, "client-port", "", `port of the clients, or a range "9092-9099" to choose from (default any that is offered)`)
	f.StringVar(&s.controllerPort, "controller-port", "", "the same for the controllers")
	f.StringArrayVar(&s.options, "option", nil, `line of server.properties, such as "log.retention.hours=24" (repeatable)`)
	f.StringArrayVar(&s.pluginOptions, "plugin-option", nil, "the same for what only a plugin knows; not checked (repeatable)")
	f.StringVar(&s.kafka, "kafka", "", "Kafka on the agents: the directory of a distribution, or a classpath of jars")
	f.StringVar(&k.Distribution.Java, "java", "java", "the java program on the agents, 17 or newer")
	f.StringArrayVar(&k.Distribution.Flags, "jvm-flag", nil, `further flag of the JVM, such as "-XX:+UseSerialGC" (repeatable)`)
	f.DurationVar(&k.Grace, "grace", 0, "how long a broker may take to stop (default 30s)")
	f.DurationVar(&k.Backoff.First, "backoff-first", 0, "pause after a broker's first failure, doubled with each that follows (default 1s)")
	f.DurationVar(&k.Backoff.Max, "backoff-max", 0, "longest pause after failures (default 5m)")
	f.StringVar(&k.Role, "role", "", "role that owns the reservations (default --name)")
	f.StringVar(&k.Principal, "principal", "", "principal of the framework and of its reservations")
	f.StringVar(&k.User, "user", "", "user that runs the brokers (default the current one)")
	f.StringVar(&k.Binary.Path, "executor", "", "path of mesos-kafka on the agents (default: they fetch it from this scheduler)")
}

// run checks everything before it makes anything.
func (s *settings) run(ctx context.Context) error {
	cluster, err := s.read()
	if err != nil {
		return usageError{err}
	}
	credential, err := s.credential()
	if err != nil {
		return err
	}
	listener, err := listen(s.api)
	if err != nil {
		return err
	}
	defer listener.Close()
	store, err := state.OpenFile(s.state)
	if err != nil {
		return err
	}
	defer store.Close()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if s.secluded(listener) {
		log.Warn("agents on other machines cannot fetch the executor: set --api and --api-url to an address that they reach, or --executor")
	}
	log.Info("scheduler starts", "api", "http://"+listener.Addr().String(), "state", s.state)
	err = frameworks.Run(ctx, frameworks.Config{
		Service:   cluster.Service(),
		Listener:  listener,
		URL:       s.apiURL,
		Scheduler: scheduler.Config{Master: s.master, Store: store, Credential: credential, Logger: log},
	})
	if err == nil {
		log.Info("scheduler ends; the brokers go on")
	}
	return err
}

// read makes the cluster of the flags.
func (s *settings) read() (kafka.Cluster, error) {
	c := s.cluster
	var errs []error
	bad := func(flag string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("--%s: %w", flag, err))
		}
	}
	var err error
	if s.master == "" {
		bad("master", errors.New(`is not set: wants "host:port" or "zk://host:port/mesos"`))
	}
	if s.state == "" {
		bad("state", errors.New("is not set: wants a directory that outlives this process, such as /var/lib/mesos-kafka"))
	}
	if host, _, err := net.SplitHostPort(s.api); err != nil {
		bad("api", fmt.Errorf("%q: wants host:port: %w", s.api, err))
	} else if ip := net.ParseIP(host); s.apiURL == "" && (host == "" || ip != nil && ip.IsUnspecified()) {
		bad("api-url", fmt.Errorf("is not set, and --api %s is every address: wants the one that agents reach, such as http://10.0.0.7:7000", s.api))
	}
	if len(s.constraints) > 0 {
		c.Place, err = constraints.Parse(s.constraints...)
		bad("constraint", err)
	}
	c.ClientPort, err = parsePort(s.clientPort)
	bad("client-port", err)
	c.ControllerPort, err = parsePort(s.controllerPort)
	bad("controller-port", err)
	c.Options, err = parseOptions(s.options)
	bad("option", err)
	c.PluginOptions, err = parseOptions(s.pluginOptions)
	bad("plugin-option", err)
	c.Distribution.Classpath = classpath(s.kafka)
	if s.kafka == "" {
		bad("kafka", errors.New("is not set: wants the directory of a Kafka distribution on the agents, or its classpath"))
		c.Distribution.Classpath = "?" // said already
	}
	service := c.Service()
	service.Binary.Path = cmp.Or(service.Binary.Path, "mesos-kafka") // if none is named, they fetch it
	return c, errors.Join(append(errs, service.Validate())...)
}

func (s *settings) credential() (scheduler.Credential, error) {
	if s.secretFile == "" {
		return scheduler.Credential{}, nil
	}
	secret, err := os.ReadFile(s.secretFile)
	if err != nil {
		return scheduler.Credential{}, fmt.Errorf("--secret-file: %w", err)
	}
	return scheduler.Credential{Principal: s.cluster.Principal, Secret: strings.TrimRight(string(secret), "\r\n")}, nil
}

func listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("--api %s: the port is in use: wants a free one; if that is this scheduler, it runs already: %w", address, err)
	}
	if err != nil {
		return nil, fmt.Errorf("--api %s: %w", address, err)
	}
	return l, nil
}

// parsePort reads a port or a range of ports; nothing means any.
func parsePort(text string) (frameworks.Port, error) {
	if text == "" {
		return frameworks.Port{}, nil
	}
	first, last, ranged := strings.Cut(text, "-")
	if !ranged {
		last = first
	}
	begin, err1 := strconv.ParseUint(first, 10, 16)
	end, err2 := strconv.ParseUint(last, 10, 16)
	if err1 != nil || err2 != nil || begin == 0 || begin > end {
		return frameworks.Port{}, fmt.Errorf("%q: wants a port such as 9092, or a range such as 9092-9099", text)
	}
	return frameworks.Port{Begin: begin, End: end}, nil
}

// parseOptions reads lines of key=value.
func parseOptions(lines []string) (map[string]string, error) {
	options := map[string]string{}
	for _, line := range lines {
		key, value, ok := strings.Cut(line, "=")
		key = strings.TrimSpace(key)
		if !ok || key == "" {
			return nil, fmt.Errorf("%q: wants key=value", line)
		}
		if old, twice := options[key]; twice {
			return nil, fmt.Errorf("%q: %s is %q already: wants each option once", line, key, old)
		}
		options[key] = strings.TrimSpace(value)
	}
	return options, nil
}

// secluded says whether agents are sent to this machine's own loopback address
// although the master is elsewhere.
func (s *settings) secluded(l net.Listener) bool {
	address, ok := l.Addr().(*net.TCPAddr)
	here := strings.Contains(s.master, "127.0.0.1") || strings.Contains(s.master, "localhost")
	return ok && address.IP.IsLoopback() && !here && s.apiURL == "" && s.cluster.Binary.Path == ""
}

// classpath takes a classpath as it is, and finds the jars of a distribution,
// which has them in libs.
func classpath(kafka string) string {
	if path.Base(kafka) == "libs" {
		return path.Join(kafka, "*")
	}
	if kafka == "" || strings.Contains(kafka, ":") || strings.HasSuffix(kafka, ".jar") || strings.HasSuffix(kafka, "*") {
		return kafka
	}
	return path.Join(kafka, "libs", "*")
}
