package sandbox

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"math"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// checkResult is news of a task from one of its checks: checkStatus or health.
type checkResult interface{ checkResult() }

// checkStatus is a new outcome of the task's check.
type checkStatus struct{ status *mesos.CheckStatusInfo }

// health is the outcome of its health check, when that is worth telling.
type health struct {
	healthy bool
	kill    bool // it failed too often
}

func (checkStatus) checkResult() {}
func (health) checkResult()      {}

// startChecks starts the check and the health check that the task asks for.
// They end with the context, and the group is done when they have.
func (t *Task) startChecks(ctx context.Context, group *sync.WaitGroup, results chan<- checkResult) {
	if c := t.cfg.Task.Check; c != nil {
		p := &checkReporter{results: results, last: emptyCheckStatus(c.Type)}
		group.Go(func() { t.probe(c).run(ctx, p.observe) })
	}
	if h := t.cfg.Task.HealthCheck; h != nil {
		p := &healthReporter{
			results: results, starting: true, start: time.Now(),
			grace: seconds(h.GetGracePeriodSeconds()),
			limit: h.GetConsecutiveFailures(),
		}
		group.Go(func() { t.healthProbe(h).run(ctx, p.observe) })
	}
}

// probe looks at a task again and again. The three kinds of check and of
// health check differ only in how they look.
type probe struct {
	delay, interval time.Duration
	timeout         time.Duration // zero: none
	// look makes one attempt. The error says that there is no outcome.
	look func(context.Context) (*mesos.CheckStatusInfo, error)
}

// run looks until the context ends, which ends a look on its way as well.
func (p *probe) run(ctx context.Context, observe func(context.Context, *mesos.CheckStatusInfo, error)) {
	timer := time.NewTimer(p.delay)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		attempt, cancel := ctx, context.CancelFunc(func() {})
		if p.timeout > 0 {
			attempt, cancel = context.WithTimeout(ctx, p.timeout)
		}
		status, err := p.look(attempt)
		cancel()
		if ctx.Err() != nil {
			return
		}
		observe(ctx, status, err)
		timer.Reset(p.interval)
	}
}

// checkReporter tells of a check whenever its outcome changes.
type checkReporter struct {
	results chan<- checkResult
	last    *mesos.CheckStatusInfo
}

func (r *checkReporter) observe(ctx context.Context, status *mesos.CheckStatusInfo, err error) {
	if err != nil {
		status = emptyCheckStatus(r.last.GetType())
	}
	if status.Equal(r.last) {
		return
	}
	r.last = status
	send(ctx, r.results, checkStatus{status})
}

// healthReporter tells of every failure, and of the first success and the
// first after failures (HealthChecker in Mesos's src/checks).
type healthReporter struct {
	results  chan<- checkResult
	start    time.Time
	grace    time.Duration
	limit    uint32
	starting bool   // no success yet: the grace period counts
	failures uint32 // since the last success
}

func (r *healthReporter) observe(ctx context.Context, status *mesos.CheckStatusInfo, err error) {
	if err == nil && healthy(status) {
		if r.starting || r.failures > 0 {
			send(ctx, r.results, health{healthy: true})
		}
		r.starting, r.failures = false, 0
		return
	}
	if r.starting && time.Since(r.start) <= r.grace {
		return
	}
	r.failures++
	send(ctx, r.results, health{kill: r.failures >= r.limit})
}

func send(ctx context.Context, results chan<- checkResult, r checkResult) {
	select {
	case results <- r:
	case <-ctx.Done():
	}
}

// healthy is how a health check reads the outcome of a check.
func healthy(s *mesos.CheckStatusInfo) bool {
	switch s.GetType() {
	case mesos.CheckInfo_COMMAND:
		return s.GetCommand().GetExitCode() == 0
	case mesos.CheckInfo_HTTP:
		code := s.GetHTTP().GetStatusCode()
		return http.StatusOK <= code && code < http.StatusBadRequest
	case mesos.CheckInfo_TCP:
		return s.GetTCP().GetSucceeded()
	default:
		return false
	}
}

// emptyCheckStatus is the status of a check that has no outcome yet.
func emptyCheckStatus(kind mesos.CheckInfo_Type) *mesos.CheckStatusInfo {
	s := &mesos.CheckStatusInfo{Type: &kind}
	switch kind {
	case mesos.CheckInfo_COMMAND:
		s.Command = &mesos.CheckStatusInfo_Command{}
	case mesos.CheckInfo_HTTP:
		s.HTTP = &mesos.CheckStatusInfo_Http{}
	case mesos.CheckInfo_TCP:
		s.TCP = &mesos.CheckStatusInfo_Tcp{}
	}
	return s
}

// probe is the probe of a check.
func (t *Task) probe(c *mesos.CheckInfo) *probe {
	p := &probe{delay: seconds(c.GetDelaySeconds()), interval: seconds(c.GetIntervalSeconds()), timeout: seconds(c.GetTimeoutSeconds())}
	switch c.Type {
	case mesos.CheckInfo_COMMAND:
		p.look = t.container.lookByCommand(c.GetCommand().GetCommand())
	case mesos.CheckInfo_HTTP:
		p.look = lookByHTTP("http", t.address(c.GetHTTP().GetPort(), mesos.IPv4), c.GetHTTP().GetPath())
	case mesos.CheckInfo_TCP:
		p.look = lookByTCP(t.address(c.GetTCP().GetPort(), mesos.IPv4))
	default:
		p.look = lookAtUnknown(c.Type)
	}
	return p
}

// healthProbe is the probe of a health check.
func (t *Task) healthProbe(h *mesos.HealthCheck) *probe {
	p := &probe{delay: seconds(h.GetDelaySeconds()), interval: seconds(h.GetIntervalSeconds()), timeout: seconds(h.GetTimeoutSeconds())}
	switch h.Type {
	case mesos.HealthCheck_COMMAND:
		command := h.GetCommand()
		if command == nil {
			command = &mesos.CommandInfo{}
		}
		p.look = t.container.lookByCommand(*command)
	case mesos.HealthCheck_HTTP:
		scheme := cmp.Or(h.GetHTTP().GetScheme(), "http")
		p.look = lookByHTTP(scheme, t.address(h.GetHTTP().GetPort(), h.GetHTTP().GetProtocol()), h.GetHTTP().GetPath())
	case mesos.HealthCheck_TCP:
		p.look = lookByTCP(t.address(h.GetTCP().GetPort(), h.GetTCP().GetProtocol()))
	default:
		p.look = lookAtUnknown(mesos.CheckInfo_UNKNOWN)
	}
	return p
}

// address is where a check connects to.
func (t *Task) address(port uint32, protocol mesos.NetworkInfo_Protocol) string {
	host := cmp.Or(t.cfg.Address, "127.0.0.1")
	if protocol == mesos.IPv6 {
		host = "::1"
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// seconds is a number of seconds as a duration: none if it is negative, the
// longest if it is longer than that or not a number.
func seconds(s float64) time.Duration {
	if s < math.MaxInt64/float64(time.Second) {
		return time.Duration(max(0, s) * float64(time.Second))
	}
	return math.MaxInt64
}

type look = func(context.Context) (*mesos.CheckStatusInfo, error)

func lookAtUnknown(kind mesos.CheckInfo_Type) look {
	return func(context.Context) (*mesos.CheckStatusInfo, error) {
		return nil, fmt.Errorf("sandbox: check of type %v: want COMMAND, HTTP or TCP", kind)
	}
}

// lookByCommand runs a command in the sandbox with the environment of the
// container. What it prints goes to the container's stderr.
func (c *Container) lookByCommand(info mesos.CommandInfo) look {
	return func(ctx context.Context) (*mesos.CheckStatusInfo, error) {
		vars := maps.Clone(c.vars)
		if err := override(vars, info.GetEnvironment()); err != nil {
			return nil, err
		}
		logs, err := openLogs(c.Directory())
		if err != nil {
			return nil, err
		}
		defer logs.close()
		cmd := command(&info, vars, c.Directory())
		cmd.Stdout, cmd.Stderr = logs.stderr, logs.stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: c.owner}
		p, err := launch(cmd)
		if err != nil {
			return nil, err
		}
		status, err := waitOrKill(ctx, p)
		if err != nil {
			return nil, err
		}
		if !status.wait().Exited() {
			return nil, fmt.Errorf("sandbox: checking by command: %v", status)
		}
		s := emptyCheckStatus(mesos.CheckInfo_COMMAND)
		code := int32(status.ExitCode())
		s.Command.ExitCode = &code
		return s, nil
	}
}

// waitOrKill waits for a process that leads its own group; when the context
// ends first, it kills the group.
func waitOrKill(ctx context.Context, p *os.Process) (Status, error) {
	stop := context.AfterFunc(ctx, func() { _ = kill(-p.Pid, syscall.SIGKILL) })
	defer stop()
	state, err := p.Wait()
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return 0, fmt.Errorf("sandbox: checking by command: %w", err)
	}
	return Status(state.Sys().(syscall.WaitStatus)), nil
}

// lookByHTTP asks for a page as Mesos's curl does: redirects are followed, a
// certificate is not examined, and any answer is an outcome.
func lookByHTTP(scheme, address, path string) look {
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // as curl -k
	}}
	return func(ctx context.Context) (*mesos.CheckStatusInfo, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+address+path, nil)
		if err != nil {
			return nil, fmt.Errorf("sandbox: checking by HTTP: %w", err)
		}
		resp, err := client.Do(req)
		if err != nil {
			return nil, fmt.Errorf("sandbox: checking by HTTP: %w", err)
		}
		resp.Body.Close()
		s := emptyCheckStatus(mesos.CheckInfo_HTTP)
		code := uint32(resp.StatusCode)
		s.HTTP.StatusCode = &code
		return s, nil
	}
}

// lookByTCP connects. That nobody listens is an outcome; that nobody answers
// in time is none.
func lookByTCP(address string) look {
	return func(ctx context.Context) (*mesos.CheckStatusInfo, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", address)
		if err == nil {
			conn.Close()
		} else if ctx.Err() != nil {
			return nil, fmt.Errorf("sandbox: checking by TCP: %w", err)
		}
		succeeded := err == nil
		s := emptyCheckStatus(mesos.CheckInfo_TCP)
		s.TCP.Succeeded = &succeeded
		return s, nil
	}
}
