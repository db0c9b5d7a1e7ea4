package scheduler

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/user"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/internal/recordio"
	"github.com/mesokit/mesokit/scheduler/state"
)

// failoverTimeout is how long tasks outlive their scheduler by default.
const failoverTimeout = 14 * 24 * time.Hour

// Config is what Run needs to know. Master and Handler have to be set, and the
// framework has to have a name.
type Config struct {
	// Master says where the masters are: "host:port", a URL, or several of
	// them with commas between; or "zk://[user:password@]host:port,…/path",
	// the path in ZooKeeper under which the masters elect their leader.
	Master string

	// Handler is the policy. It may implement Worker, Described and Validated.
	Handler Handler

	// Store keeps what must outlive the process. Nil: memory, for trials only.
	Store state.Store

	// Framework is how the framework registers. Fields that are not set come
	// from the handler if it is Described, and then from these defaults: the
	// current user, the host's name, the role "*", checkpoint, a failover
	// timeout of two weeks, and the capabilities MULTI_ROLE, PARTITION_AWARE,
	// RESERVATION_REFINEMENT and TASK_KILLING_STATE.
	Framework mesos.FrameworkInfo

	// Mailbox brings commands of operators in. Nil: there are none.
	Mailbox *Mailbox

	// Logger gets one line for each change of state. Nil: slog.Default().
	Logger *slog.Logger

	// Journal keeps the last of these lines for those who ask. Nil: nobody does.
	Journal *Journal

	// Monitor tells whether the scheduler can do its work. Nil: nobody asks.
	Monitor *Monitor

	// Observe sees every event with its effects, after they were saved. It
	// runs in the loop and must not block.
	Observe func(Event, Effects)

	// TLS is used with masters whose URL is https, and with those that
	// ZooKeeper names.
	TLS *tls.Config

	// Credential authenticates with the master by HTTP Basic.
	Credential Credential

	// Authorize sets what else a request needs to be let in, such as a token
	// that changes. It is asked for each request.
	Authorize func(*http.Request) error

	// MaxFrame is the largest event in bytes; the master sends all offers in
	// one. Zero: 256 MiB.
	MaxFrame int

	// AdoptUnknown leaves tasks alone that the store knows nothing of. By
	// default they are killed.
	AdoptUnknown bool

	// RegisterAnew registers a new framework when the master has removed the
	// one that the store remembers. All its tasks are gone then; the records
	// of the handler stay. By default Run ends with ErrRemoved.
	RegisterAnew bool
}

// Credential is a principal and its secret.
type Credential struct{ Principal, Secret string }

// withDefaults fills in what was left out.
func (c Config) withDefaults() Config {
	if c.Store == nil {
		c.Store = state.NewMemory()
	}
	if c.Mailbox == nil {
		c.Mailbox = &Mailbox{}
	}
	c.Logger = cmp.Or(c.Logger, slog.Default())
	if c.Journal != nil {
		c.Logger = slog.New(journaling{Handler: c.Logger.Handler(), journal: c.Journal})
	}
	if c.Monitor == nil {
		c.Monitor = &Monitor{}
	}
	c.MaxFrame = cmp.Or(c.MaxFrame, recordio.DefaultLimit)
	if c.Observe == nil {
		c.Observe = func(Event, Effects) {}
	}
	if d, ok := c.Handler.(Described); ok {
		c.Framework = overlay(c.Framework, d.Framework())
	}
	c.Framework = overlay(c.Framework, c.frameworkDefaults())
	return c
}

func (c Config) frameworkDefaults() mesos.FrameworkInfo {
	timeout, checkpoint := failoverTimeout.Seconds(), true
	info := mesos.FrameworkInfo{FailoverTimeout: &timeout, Checkpoint: &checkpoint, Roles: []string{"*"}}
	if u, err := user.Current(); err == nil {
		info.User = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		info.Hostname = &host
	}
	if c.Credential.Principal != "" {
		info.Principal = &c.Credential.Principal
	}
	for _, t := range []mesos.FrameworkInfo_Capability_Type{
		mesos.FrameworkInfo_Capability_MULTI_ROLE,
		mesos.FrameworkInfo_Capability_PARTITION_AWARE,
		mesos.FrameworkInfo_Capability_RESERVATION_REFINEMENT,
		mesos.FrameworkInfo_Capability_TASK_KILLING_STATE,
	} {
		info.Capabilities = append(info.Capabilities, mesos.FrameworkInfo_Capability{Type: t})
	}
	return info
}

// overlay returns info with the fields that it does not set taken from under.
func overlay(info, under mesos.FrameworkInfo) mesos.FrameworkInfo {
	info.User = cmp.Or(info.User, under.User)
	info.Name = cmp.Or(info.Name, under.Name)
	info.FailoverTimeout = cmp.Or(info.FailoverTimeout, under.FailoverTimeout)
	info.Checkpoint = cmp.Or(info.Checkpoint, under.Checkpoint)
	info.Hostname = cmp.Or(info.Hostname, under.Hostname)
	info.Principal = cmp.Or(info.Principal, under.Principal)
	info.WebUiURL = cmp.Or(info.WebUiURL, under.WebUiURL)
	info.Labels = cmp.Or(info.Labels, under.Labels)
	if info.Role == nil && len(info.Roles) == 0 {
		info.Role, info.Roles = under.Role, under.Roles
	}
	if len(info.Capabilities) == 0 {
		info.Capabilities = under.Capabilities
	}
	if len(info.OfferFilters) == 0 {
		info.OfferFilters = under.OfferFilters
	}
	return info
}

// validate reports the first field that cannot be right.
func (c Config) validate() error {
	if v, ok := c.Handler.(Validated); ok {
		if err := v.Validate(); err != nil {
			return fmt.Errorf("Config.Handler: %w", err)
		}
	}
	f := c.Framework
	switch {
	case c.Handler == nil:
		return errors.New("Config.Handler is nil: a framework needs a policy")
	case c.MaxFrame < 0:
		return fmt.Errorf("Config.MaxFrame is %d: it is a number of bytes, or zero for %d", c.MaxFrame, recordio.DefaultLimit)
	case c.Journal != nil && c.Journal.Size < 0:
		return fmt.Errorf("Config.Journal.Size is %d: it is a number of entries, or zero for %d", c.Journal.Size, journalSize)
	case c.Credential.Principal == "" && c.Credential.Secret != "":
		return errors.New("Config.Credential.Principal is empty beside a secret: name the principal that the secret belongs to")
	case f.Name == "":
		return errors.New("Config.Framework.Name is empty: give the name under which operators know the framework")
	case f.User == "":
		return errors.New("Config.Framework.User is empty and the current user is unknown: name the user that tasks run as")
	case f.FailoverTimeout != nil && !(*f.FailoverTimeout >= 0):
		return fmt.Errorf("Config.Framework.FailoverTimeout is %v: it is a number of seconds, not negative", *f.FailoverTimeout)
	case f.ID != nil:
		return fmt.Errorf("Config.Framework.ID is %q: leave it out, the store keeps it", f.ID.Value)
	case f.Role != nil && c.capable(mesos.FrameworkInfo_Capability_MULTI_ROLE):
		return fmt.Errorf("Config.Framework.Role is %q: a MULTI_ROLE framework sets Roles instead", *f.Role)
	case f.Principal != nil && c.Credential.Principal != "" && *f.Principal != c.Credential.Principal:
		return fmt.Errorf("Config.Framework.Principal is %q and Config.Credential.Principal is %q: the master wants them to be the same", *f.Principal, c.Credential.Principal)
	}
	return checkRoles("Config.Framework.Roles", f.Roles)
}

func (c Config) capable(want mesos.FrameworkInfo_Capability_Type) bool {
	return slices.ContainsFunc(c.Framework.Capabilities, func(have mesos.FrameworkInfo_Capability) bool {
		return have.Type == want
	})
}

// scheme is that of masters whose address does not say it.
func (c Config) scheme() string {
	if c.TLS != nil {
		return "https"
	}
	return "http"
}
