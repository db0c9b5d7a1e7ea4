package mesostest

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/internal/detector"
)

// ErrConfig is in the error of [Start] and [Cluster.AddAgent] if the configuration cannot be right.
var ErrConfig = errors.New("mesostest: bad configuration")

// Config describes a cluster. The zero value is a master without agents.
type Config struct {
	// Agents are the machines of the cluster, in order.
	Agents []AgentConfig

	// Address is where the master listens. 127.0.0.1 and any free port.
	Address string
	// TLS makes the masters serve https, and nothing else, with the
	// certificate in it. Agents do not use it.
	TLS *tls.Config
	// ZooKeeper makes the masters elect their leader in a ZooKeeper, which
	// the caller starts: "zk://[user:password@]host:port,host:port/path".
	// Each has an ephemeral node json.info_<number> there; the lowest leads.
	ZooKeeper string
	// ZooKeeperSession is how long ZooKeeper waits for a master that is
	// silent before others may lead. The server has bounds for it. 10 s.
	ZooKeeperSession time.Duration
	// Standbys is how many masters there are besides the one at Address, each
	// at a free port of the same host. They need ZooKeeper.
	Standbys int
	// Dir is where work directories and sandboxes are made; the cluster
	// makes a directory of its own in it and removes that when it is
	// closed. The system's directory for temporary files.
	Dir string
	// KeepFiles leaves the work directories when the cluster is closed.
	KeepFiles bool
	// Log gets one line per change of state. Nothing is logged if nil.
	Log *slog.Logger

	// AllocationInterval is the time between two rounds of offers. 200 ms
	// (Mesos: 1 s).
	AllocationInterval time.Duration
	// OfferTimeout is when an unused offer is rescinded. Zero: never.
	OfferTimeout time.Duration
	// Heartbeat is the interval of HEARTBEAT events. 15 s.
	Heartbeat time.Duration
	// PingInterval and MaxMissedPings say when an agent that does not
	// answer is unreachable. 1 s and 3 (Mesos: 15 s and 5), and 15 s with
	// 1,000 agents or more, all of which are pinged at once.
	PingInterval   time.Duration
	MaxMissedPings int
	// ReregisterTimeout is how long a restarted master waits for its
	// agents. 10 min.
	ReregisterTimeout time.Duration
	// MinOffer is the least that is offered, as alternatives, for example
	// "cpus:0.01|mem:32". That is also the default.
	MinOffer string
	// Region and Zone are the master's fault domain; none if empty.
	Region, Zone string
	// Credentials, by principal, turn on basic authentication of
	// schedulers.
	Credentials map[string]string
}

// AgentConfig describes one agent: a machine of its own.
type AgentConfig struct {
	// Hostname is the agent's name, which ought to resolve to Address. The
	// address itself unless given.
	Hostname string
	// Address is the IP address of the machine. On Linux each agent gets
	// one of its own, 127.0.x.y, unless it is given; elsewhere 127.0.0.1.
	Address string
	// Resources in the form of Mesos's flag, for example
	// "cpus:4;mem:8192;disk:10000;ports:[31000-32000]", which is also the
	// default.
	Resources string
	// Attributes in the form of Mesos's flag, for example
	// "rack:r1;level:2;span:[10-20,30-40]".
	Attributes string
	// Region and Zone are the agent's fault domain; none if empty.
	Region, Zone string
	// Dir is the work directory, which is made if it is not there and stays
	// when the cluster is closed. One of its own in the cluster's directory.
	Dir string
	// Pretend makes an agent that runs nothing: its tasks only say that they
	// run until they are killed, and it serves no API. Thousands of them fit
	// into a process, to see how a scheduler does with a large cluster.
	Pretend bool
	// Environment is given to every executor, besides what Mesos sets. It
	// holds the PATH of this process unless given.
	Environment map[string]string

	// RegistrationTimeout is how long an executor has to subscribe. 1 min.
	RegistrationTimeout time.Duration
	// ShutdownGrace is how long an executor has to end when told to. 5 s.
	ShutdownGrace time.Duration
	// RecoveryTimeout is how long executors are told to wait for their
	// agent to come back. 1 min.
	RecoveryTimeout time.Duration
	// ReregistrationTimeout is how long an agent that was restarted waits
	// for its executors before it kills them. 10 s (Mesos: 2 s).
	ReregistrationTimeout time.Duration
	// RetryMin is the first pause between two sendings of a status that
	// is not acknowledged. 10 s.
	RetryMin time.Duration
}

// An Option changes the cluster that [New] makes.
type Option func(*Config)

// Agents adds n agents of equal resources and, if given, attributes.
func Agents(n int, resources string, attributes ...string) Option {
	return func(c *Config) {
		for range n {
			c.Agents = append(c.Agents, AgentConfig{Resources: resources, Attributes: strings.Join(attributes, ";")})
		}
	}
}

// With adds an agent as described.
func With(a AgentConfig) Option { return func(c *Config) { c.Agents = append(c.Agents, a) } }

// Configure changes anything else.
func Configure(f func(*Config)) Option { return f }

const defaultResources = "cpus:4;mem:8192;disk:10000;ports:[31000-32000]"

func (c *Config) validate() error {
	c.Address = cmp.Or(c.Address, "127.0.0.1:0")
	if _, _, err := net.SplitHostPort(c.Address); err != nil {
		return fmt.Errorf("mesostest: Address %q: want host:port: %w", c.Address, err)
	}
	c.AllocationInterval = cmp.Or(c.AllocationInterval, 200*time.Millisecond)
	ping := time.Second
	if len(c.Agents) >= 1000 {
		ping = 15 * time.Second
	}
	c.PingInterval = cmp.Or(c.PingInterval, ping)
	c.MaxMissedPings = cmp.Or(c.MaxMissedPings, 3)
	c.Heartbeat = cmp.Or(c.Heartbeat, 15*time.Second)
	c.ZooKeeperSession = cmp.Or(c.ZooKeeperSession, 10*time.Second)
	if err := c.validateElection(); err != nil {
		return err
	}
	if t := c.TLS; t != nil && len(t.Certificates) == 0 && t.GetCertificate == nil && t.GetConfigForClient == nil {
		return errors.New("mesostest: TLS has no certificate: want one in Certificates, or GetCertificate")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if err := positive([]duration{
		{"AllocationInterval", c.AllocationInterval}, {"OfferTimeout", c.OfferTimeout}, {"Heartbeat", c.Heartbeat},
		{"PingInterval", c.PingInterval}, {"ReregisterTimeout", c.ReregisterTimeout},
		{"ZooKeeperSession", c.ZooKeeperSession},
	}); err != nil {
		return fmt.Errorf("mesostest: %w", err)
	}
	if err := c.validateMaster(); err != nil {
		return fmt.Errorf("mesostest: %w", err)
	}
	if _, err := parseMinOffer(c.MinOffer); err != nil {
		return err
	}
	for i := range c.Agents {
		if err := c.validateAgent(&c.Agents[i]); err != nil {
			return fmt.Errorf("mesostest: Agents[%d]: %w", i, err)
		}
	}
	return nil
}

// validateAgent checks an agent of the cluster.
func (c *Config) validateAgent(a *AgentConfig) error {
	if a.Region != "" && c.Region == "" {
		return fmt.Errorf("Region is %q, but the master has no fault domain, and such a master ignores agents that have one: "+
			"want Region and Zone of the master too", a.Region)
	}
	return a.validate()
}

func (c *Config) validateMaster() error {
	if c.MaxMissedPings < 0 {
		return fmt.Errorf("MaxMissedPings is %d: want 1 or more", c.MaxMissedPings)
	}
	if (c.Region == "") != (c.Zone == "") {
		return fmt.Errorf("Region is %q and Zone is %q: want both, or none", c.Region, c.Zone)
	}
	for _, principal := range slices.Sorted(maps.Keys(c.Credentials)) {
		if principal == "" || strings.Contains(principal, ":") {
			return fmt.Errorf("Credentials has the principal %q: want a name without a colon", principal)
		}
	}
	return nil
}

func (c *Config) validateElection() error {
	if c.Standbys < 0 {
		return fmt.Errorf("mesostest: Standbys is %d: want how many there are, or 0", c.Standbys)
	}
	if c.ZooKeeper == "" {
		if c.Standbys > 0 {
			return fmt.Errorf("mesostest: Standbys is %d without ZooKeeper, where masters elect their leader: want zk://host:port/path there", c.Standbys)
		}
		return nil
	}
	if _, err := detector.Parse(c.ZooKeeper); err != nil {
		return fmt.Errorf("mesostest: ZooKeeper: %w", err) // without the URL, which may hold a password
	}
	return nil
}

func (a *AgentConfig) validate() error {
	a.Resources = cmp.Or(a.Resources, defaultResources)
	a.RecoveryTimeout = cmp.Or(a.RecoveryTimeout, time.Minute)
	a.ReregistrationTimeout = cmp.Or(a.ReregistrationTimeout, 10*time.Second)
	if _, err := parseResources(a.Resources); err != nil {
		return fmt.Errorf("Resources: %w", err)
	}
	if _, err := parseAttributes(a.Attributes); err != nil {
		return fmt.Errorf("Attributes: %w", err)
	}
	if a.Address != "" && net.ParseIP(a.Address) == nil {
		return fmt.Errorf("Address %q: want an IP address", a.Address)
	}
	if strings.ContainsAny(a.Hostname, "/?#% \t\n") {
		return fmt.Errorf("Hostname %q: want a host name", a.Hostname)
	}
	if (a.Region == "") != (a.Zone == "") {
		return fmt.Errorf("Region is %q and Zone is %q: want both, or none", a.Region, a.Zone)
	}
	return positive([]duration{
		{"RegistrationTimeout", a.RegistrationTimeout}, {"ShutdownGrace", a.ShutdownGrace}, {"RecoveryTimeout", a.RecoveryTimeout},
		{"ReregistrationTimeout", a.ReregistrationTimeout}, {"RetryMin", a.RetryMin},
	})
}

type duration struct {
	name string
	d    time.Duration
}

// positive checks that no duration is negative; zero is the default.
func positive(ds []duration) error {
	for _, d := range ds {
		if d.d < 0 {
			return fmt.Errorf("%s is %v: want a positive duration", d.name, d.d)
		}
	}
	return nil
}

//go:fix inline
func ptr[T any](v T) *T { return new(v) }

// domain returns a fault domain, or nil.
func domain(region, zone string) *mesos.DomainInfo {
	if region == "" && zone == "" {
		return nil
	}
	return &mesos.DomainInfo{FaultDomain: &mesos.DomainInfo_FaultDomain{
		Region: mesos.DomainInfo_FaultDomain_RegionInfo{Name: region},
		Zone:   mesos.DomainInfo_FaultDomain_ZoneInfo{Name: zone},
	}}
}

// pairs splits "name:value;name:value".
func pairs(s string) ([][2]string, error) {
	var out [][2]string
	for part := range strings.SplitSeq(s, ";") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || name == "" || value == "" {
			return nil, fmt.Errorf("%q: want name:value", part)
		}
		out = append(out, [2]string{name, value})
	}
	return out, nil
}

func parseResources(s string) ([]mesos.Resource, error) {
	ps, err := pairs(s)
	if err != nil {
		return nil, err
	}
	out := make([]mesos.Resource, 0, len(ps))
	for _, p := range ps {
		r := mesos.Resource{Name: p[0]}
		name, role, hasRole := strings.Cut(p[0], "(")
		if hasRole { // reserved by the operator: name(role)
			kind := mesos.Resource_ReservationInfo_STATIC
			r.Name = name
			r.Reservations = []mesos.Resource_ReservationInfo{{Type: &kind, Role: new(strings.TrimSuffix(role, ")"))}}
		}
		switch {
		case strings.HasPrefix(p[1], "["):
			ranges, err := parseRanges(p[1])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p[0], err)
			}
			r.Type, r.Ranges = mesos.RANGES.Enum(), ranges
		case strings.HasPrefix(p[1], "{"):
			r.Type, r.Set = mesos.SET.Enum(), &mesos.Value_Set{Item: splitList(strings.Trim(p[1], "{}"))}
		default:
			v, err := parseScalar(p[1])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p[0], err)
			}
			r.Type, r.Scalar = mesos.SCALAR.Enum(), &mesos.Value_Scalar{Value: v}
		}
		out = append(out, r)
	}
	return out, nil
}

func parseScalar(s string) (float64, error) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
		return 0, fmt.Errorf("%q: want a number of 0 or more, or ranges such as [1-9]", s)
	}
	return v, nil
}

func splitList(s string) []string {
	var out []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

func parseRanges(s string) (*mesos.Value_Ranges, error) {
	if !strings.HasPrefix(s, "[") || !strings.HasSuffix(s, "]") {
		return nil, fmt.Errorf("%q: want ranges such as [31000-31099, 32000-32000]", s)
	}
	out := &mesos.Value_Ranges{}
	for _, part := range splitList(s[1 : len(s)-1]) {
		lo, hi, ok := strings.Cut(part, "-")
		begin, err1 := strconv.ParseUint(strings.TrimSpace(lo), 10, 64)
		end, err2 := strconv.ParseUint(strings.TrimSpace(hi), 10, 64)
		if !ok || err1 != nil || err2 != nil || begin > end {
			return nil, fmt.Errorf("%q: want begin-end with begin not above end", part)
		}
		out.Range = append(out.Range, mesos.Value_Range{Begin: begin, End: end})
	}
	return out, nil
}

// parseAttributes reads attributes: ranges, scalars, and everything else as
// text. Mesos knows no sets here.
func parseAttributes(s string) ([]mesos.Attribute, error) {
	ps, err := pairs(s)
	if err != nil {
		return nil, err
	}
	out := make([]mesos.Attribute, 0, len(ps))
	for _, p := range ps {
		a := mesos.Attribute{Name: p[0]}
		switch v, err := strconv.ParseFloat(p[1], 64); {
		case strings.HasPrefix(p[1], "["):
			ranges, err := parseRanges(p[1])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p[0], err)
			}
			a.Type, a.Ranges = mesos.RANGES, ranges
		case strings.HasPrefix(p[1], "{"):
			return nil, fmt.Errorf("%s: %q: an attribute is text, a number or ranges, not a set", p[0], p[1])
		case err == nil && !math.IsNaN(v) && !math.IsInf(v, 0):
			a.Type, a.Scalar = mesos.SCALAR, &mesos.Value_Scalar{Value: v}
		default:
			a.Type, a.Text = mesos.TEXT, &mesos.Value_Text{Value: p[1]}
		}
		out = append(out, a)
	}
	return out, nil
}

// parseMinOffer reads "cpus:0.01|mem:32;disk:1" into thousandths.
func parseMinOffer(s string) ([]map[string]int64, error) {
	if s == "" {
		return nil, nil
	}
	var out []map[string]int64
	for alternative := range strings.SplitSeq(s, "|") {
		ps, err := pairs(alternative)
		if err == nil && len(ps) == 0 {
			err = errors.New("empty alternative")
		}
		if err != nil {
			return nil, fmt.Errorf("mesostest: MinOffer %q: %w", s, err)
		}
		least := map[string]int64{}
		for _, p := range ps {
			v, err := parseScalar(p[1])
			if err != nil {
				return nil, fmt.Errorf("mesostest: MinOffer %q: %s: %w", s, p[0], err)
			}
			least[p[0]] = int64(math.Round(v * 1000))
		}
		out = append(out, least)
	}
	return out, nil
}
