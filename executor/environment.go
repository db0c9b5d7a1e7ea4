package executor

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	mesostime "github.com/mesos/mesos-go/api/v1/lib/time"

	"github.com/mesokit/mesokit/executor/internal/guard"
)

// environment is what an agent tells an executor through variables. Their names
// and meaning are those of
// https://mesos.apache.org/documentation/latest/executor-http-api/.
type environment struct {
	framework string      // MESOS_FRAMEWORK_ID
	executor  string      // MESOS_EXECUTOR_ID
	endpoint  string      // MESOS_AGENT_ENDPOINT, host:port
	socket    string      // MESOS_DOMAIN_SOCKET, of the same endpoint; empty: there is none
	sandbox   string      // MESOS_SANDBOX, absolute
	token     string      // MESOS_EXECUTOR_AUTHENTICATION_TOKEN; empty: none is wanted
	tls       *tls.Config // for an agent whose endpoint speaks https; otherwise nil

	// shutdown is how long the agent waits after SHUTDOWN before it destroys the
	// container.
	shutdown time.Duration
	// recovery is how long an executor tries to reach an agent that has gone away.
	// Zero: the framework does not checkpoint, so an agent that was started again
	// will not take the executor back; one that still runs will.
	recovery time.Duration
	// backoff is the longest time between two such attempts.
	backoff time.Duration
}

const (
	defaultShutdown = 5 * time.Second // the agent's own --executor_shutdown_grace_period
	defaultRecovery = 15 * time.Minute
	defaultBackoff  = 2 * time.Second
)

// private are the variables that concern the executor and not its server. The
// token is a secret; the others would make a Mesos program that the server
// starts believe that it is this executor.
var private = []string{
	Marker, guard.Variable,
	"MESOS_EXECUTOR_AUTHENTICATION_TOKEN", "MESOS_EXECUTOR_ID", "MESOS_AGENT_ENDPOINT",
	"MESOS_DOMAIN_SOCKET", "MESOS_HTTP_COMMAND_EXECUTOR", "MESOS_SLAVE_PID", "MESOS_CHECKPOINT", "MESOS_RECOVERY_TIMEOUT",
	"MESOS_SUBSCRIPTION_BACKOFF_MAX", "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD",
}

// readEnvironment takes the variables through lookup, which is os.Getenv.
func readEnvironment(lookup func(string) string) (environment, error) {
	var problems []error
	required := func(name string) string {
		value := lookup(name)
		if value == "" {
			problems = append(problems, fmt.Errorf("%s is not set", name))
		}
		return value
	}
	duration := func(name string, otherwise time.Duration) time.Duration {
		value := lookup(name)
		if value == "" {
			return otherwise
		}
		d, err := mesostime.ParseDuration(value)
		if err != nil || d < 0 {
			problems = append(problems, fmt.Errorf("%s is %q: want a duration such as 5secs or 15mins", name, value))
		}
		return d
	}
	env := environment{
		framework: required("MESOS_FRAMEWORK_ID"),
		executor:  required("MESOS_EXECUTOR_ID"),
		endpoint:  required("MESOS_AGENT_ENDPOINT"),
		socket:    lookup("MESOS_DOMAIN_SOCKET"),
		sandbox:   lookup("MESOS_SANDBOX"),
		token:     lookup("MESOS_EXECUTOR_AUTHENTICATION_TOKEN"),
		shutdown:  duration("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", defaultShutdown),
		backoff:   duration("MESOS_SUBSCRIPTION_BACKOFF_MAX", defaultBackoff),
	}
	var err error
	if env.tls, err = readTLS(lookup); err != nil {
		problems = append(problems, err)
	}
	if isTrue(lookup("MESOS_CHECKPOINT")) {
		env.recovery = duration("MESOS_RECOVERY_TIMEOUT", defaultRecovery)
	}
	if env.sandbox == "" { // agents before 0.28 told only the directory on the host
		env.sandbox = required("MESOS_DIRECTORY")
	}
	if env.sandbox != "" && !filepath.IsAbs(env.sandbox) {
		problems = append(problems, fmt.Errorf("MESOS_SANDBOX is %q: want an absolute path", env.sandbox))
	}
	if len(problems) > 0 {
		return environment{}, fmt.Errorf("not started by a Mesos agent: %w", errors.Join(problems...))
	}
	return env, nil
}

// isTrue reads a boolean as Mesos writes and as libprocess reads it.
func isTrue(value string) bool { return value == "1" || strings.EqualFold(value, "true") }

// readTLS takes the variables of libprocess, which an agent hands on to its
// executors, see https://mesos.apache.org/documentation/latest/ssl/. As there,
// the certificate of the agent is verified only on request: the agent is known
// by its address on this machine, for which certificates are rarely made.
func readTLS(lookup func(string) string) (*tls.Config, error) {
	if !isTrue(lookup("LIBPROCESS_SSL_ENABLED")) {
		return nil, nil
	}
	verify := isTrue(lookup("LIBPROCESS_SSL_VERIFY_SERVER_CERT")) || isTrue(lookup("LIBPROCESS_SSL_VERIFY_CERT"))
	cfg := &tls.Config{InsecureSkipVerify: !verify}
	if file := lookup("LIBPROCESS_SSL_CA_FILE"); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("LIBPROCESS_SSL_CA_FILE: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("LIBPROCESS_SSL_CA_FILE is %q: want a file with certificates in PEM", file)
		}
	}
	cert, key := lookup("LIBPROCESS_SSL_CERT_FILE"), lookup("LIBPROCESS_SSL_KEY_FILE")
	if cert != "" && key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("LIBPROCESS_SSL_CERT_FILE, LIBPROCESS_SSL_KEY_FILE: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}
