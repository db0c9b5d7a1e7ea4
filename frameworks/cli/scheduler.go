package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-multierror"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/scheduler"
)

// Common are the settings that every framework has, from their flags. A zero
// value was not set.
type Common struct {
	Name, Role, Principal, User string
	// Binary is where agents find this binary. Give it to the service as it is.
	Binary  frameworks.Binary
	Place   constraints.Rules
	Backoff frameworks.Backoff
	Grace   time.Duration
}

func (c *Common) addFlags(f *pflag.FlagSet, name string) {
	f.StringVar(&c.Name, "name", name, "name of the service, of its tasks and of its role")
	f.StringVar(&c.Role, "role", "", "role that owns the reservations (default --name)")
	f.StringVar(&c.Principal, "principal", "", "principal of the framework and of its reservations")
	f.StringVar(&c.User, "user", "", "user that runs the servers (default the current one)")
	f.StringVar(&c.Binary.Path, "executor", "", "path of this binary on the agents (default: they fetch it from this scheduler)")
	RulesVar(f, &c.Place, "constraint", `which agents will do, such as "rack:GROUP_BY:3" (repeatable; default hostname:UNIQUE)`)
	f.DurationVar(&c.Backoff.First, "backoff-first", 0, "pause after a node's first failure, doubled with each that follows (default 1s)")
	f.DurationVar(&c.Backoff.Max, "backoff-max", 0, "longest pause after failures (default 5m)")
	f.DurationVar(&c.Grace, "grace", 0, "how long a server may take to stop (default 30s)")
}

// settings are the flags of the scheduler command.
type settings struct {
	app    App
	common Common
	flags  *pflag.FlagSet

	master, state, api, apiURL, secretFile, cert, key string
	token                                             string
}

func (a App) schedulerCommand() *cobra.Command {
	s := settings{app: a}
	c := &cobra.Command{
		Use:   "scheduler",
		Short: "Run the scheduler until it is told to stop; the servers go on without it",
		Long: `Run the scheduler: it declares the service, brings it about, and keeps it so.

SIGINT and SIGTERM end it and leave the servers running; so does a crash.
Started again with the same --state it goes on where it was. Several that share
one in ZooKeeper stand by for each other: one leads, and another takes over when
it dies or hangs; one that has lost the lead exits with 1, to be started again.

Flags that were changed meanwhile are an update: nodes that are out of date are
rolled, as the service can spare them. What update has changed since holds until
the flags are changed.`,
		Args: Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return s.run(c.Context()) },
	}
	s.flags = c.Flags()
	s.flags.SortFlags = false
	s.addFlags()
	return c
}

func (s *settings) addFlags() {
	f := s.flags
	f.StringVar(&s.master, "master", "", `the masters: "host:port", several with commas between, or "zk://host:port/mesos"`)
	f.StringVar(&s.state, "state", "", `this scheduler's memory: a directory on a local disk, or "zk://[user:password@]host:port,…/path" for
several schedulers, of which one leads; also by the variable `+s.app.variable("STATE")+", which hides the password")
	f.StringVar(&s.api, "api", "127.0.0.1:7000", "address on which operators and agents are served")
	s.token = os.Getenv(s.app.variable("TOKEN"))
	f.Var((*tokenFile)(&s.token), "token-file", "file with the token that operators have to know (default "+s.app.variable("TOKEN")+", or none)")
	f.StringVar(&s.cert, "tls-cert", "", "certificate, with which that address speaks HTTPS")
	f.StringVar(&s.key, "tls-key", "", "key of the certificate")
	f.StringVar(&s.apiURL, "api-url", "", "how agents reach that address (default http:// and --api)")
	f.StringVar(&s.secretFile, "secret-file", "", "file with the secret of --principal, where the master authenticates frameworks")
	s.common.addFlags(f, s.app.service())
	s.app.Declaration.AddFlags(f)
}

// run checks everything before it makes anything.
func (s *settings) run(ctx context.Context) error {
	service, err := s.read()
	if err != nil {
		return UsageError{flagError{err, s.flags, s.app.Fields}}
	}
	credential, err := s.credential()
	if err != nil {
		return err
	}
	encryption, err := s.encryption()
	if err != nil {
		return UsageError{err}
	}
	listener, err := listen(s.api)
	if err != nil {
		return err
	}
	defer listener.Close()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	memory, err := openMemory(s.state, log)
	if err != nil {
		return err
	}
	defer memory.store.Close()
	if s.secluded(listener) {
		log.Warn("agents on other machines cannot fetch the executor: set --api and --api-url to an address that they reach, or --executor")
	}
	log.Info("scheduler starts", "api", "http://"+listener.Addr().String(), "state", withoutPassword(s.state))
	lead, listener, err := memory.standBy(ctx, listener)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil // it was told to end
	case err != nil:
		return fmt.Errorf("wait for the lead: %w", err)
	}
	err = frameworks.Run(lead, frameworks.Config{
		Service:   service,
		Listener:  listener,
		URL:       s.apiURL,
		Token:     s.token,
		TLS:       encryption,
		Scheduler: scheduler.Config{Master: s.master, Store: memory.store, Credential: credential, Logger: log},
	})
	switch {
	case ctx.Err() == nil && lead.Err() != nil:
		// Whoever started this process starts it again, and it stands by.
		return errors.Join(fmt.Errorf("the lead was lost: %w", context.Cause(lead)), err)
	case err == nil && ctx.Err() == nil:
		log.Info("scheduler ends: the framework was torn down")
	case err == nil:
		log.Info("scheduler ends; the servers go on")
	}
	return err
}

// read makes the service of the flags, or says all that is wrong with them.
func (s *settings) read() (*frameworks.Service, error) {
	var errs []error
	bad := func(flag, problem string) { errs = append(errs, fmt.Errorf("--%s: %s", flag, problem)) }
	if s.master == "" {
		bad("master", `is not set: wants "host:port" or "zk://host:port/mesos"`)
	}
	if s.state == "" {
		s.state = os.Getenv(s.app.variable("STATE"))
	}
	if s.state == "" {
		bad("state", "is not set: wants a directory that outlives this process, such as /var/lib/"+s.app.Name+", or zk://host:port/path")
	}
	if host, _, err := net.SplitHostPort(s.api); err != nil {
		bad("api", fmt.Sprintf("%q: wants host:port: %v", s.api, err))
	} else if ip := net.ParseIP(host); s.apiURL == "" && (host == "" || ip != nil && ip.IsUnspecified()) {
		bad("api-url", fmt.Sprintf("is not set, and --api %s is every address: wants the one that agents reach, such as http://10.0.0.7:7000", s.api))
	}
	if s.secretFile != "" && s.common.Principal == "" {
		bad("principal", "is not set, and --secret-file is: wants the name that the secret belongs to")
	}
	if s.common.Place.IsZero() {
		s.common.Place = constraints.MustParse("hostname:UNIQUE") // as --constraint says
	}
	service := s.app.Declaration.Service(s.common)
	// What agents fetch is known when it is served; a name stands for it.
	checked := *service
	if checked.Binary == (frameworks.Binary{}) {
		checked.Binary.Path = s.app.Name
	}
	return service, errors.Join(append(errs, lines(checked.Validate())...)...)
}

// lines are the errors of a declaration, which comes with all at once.
func lines(err error) []error {
	if all, ok := errors.AsType[*multierror.Error](err); ok {
		return all.Errors
	}
	return []error{err}
}

func (s *settings) credential() (scheduler.Credential, error) {
	if s.secretFile == "" {
		return scheduler.Credential{}, nil
	}
	secret, err := os.ReadFile(s.secretFile)
	if err != nil {
		return scheduler.Credential{}, fmt.Errorf("--secret-file: %w", err)
	}
	return scheduler.Credential{Principal: s.common.Principal, Secret: strings.TrimRight(string(secret), "\r\n")}, nil
}

// encryption is how the API speaks HTTPS; nil: it does not.
func (s *settings) encryption() (*tls.Config, error) {
	switch {
	case s.cert == "" && s.key == "":
		return nil, nil
	case s.cert == "" || s.key == "":
		return nil, errors.New("--tls-cert and --tls-key: wants both, or neither")
	}
	certificate, err := tls.LoadX509KeyPair(s.cert, s.key)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}, nil
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

// secluded says whether agents are sent to this machine's own loopback address
// although the master is elsewhere.
func (s *settings) secluded(l net.Listener) bool {
	address, ok := l.Addr().(*net.TCPAddr)
	here := strings.Contains(s.master, "127.0.0.1") || strings.Contains(s.master, "localhost")
	return ok && address.IP.IsLoopback() && !here && s.apiURL == "" && s.common.Binary.Path == ""
}
