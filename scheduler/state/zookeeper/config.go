package zookeeper

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/mesokit/mesokit/internal/detector"
)

// defaultTimeout is within the bounds of ZooKeeper's own defaults, 4 to 40 s.
const defaultTimeout = 12 * time.Second

// Config says where the state is.
type Config struct {
	// URL is zk://[user:password@]host[:port],…/path, with a path of the
	// scheduler's own. With a user everything below the path is for that user
	// alone, by ZooKeeper's digest scheme; without one anybody who reaches
	// the servers can read and change it.
	URL string

	// SessionTimeout is how long this process may be out of touch with
	// ZooKeeper before it loses the lead. The servers have the last word, by
	// default between 4 and 40 s. Zero: 12 s.
	SessionTimeout time.Duration

	// Logger gets one line for each change: connected and not, stands by,
	// leads, lost the lead. Nil: slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.SessionTimeout == 0 {
		c.SessionTimeout = defaultTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// validate returns where the state is, or the first field that cannot be right.
func (c Config) validate() (detector.Ensemble, error) {
	ensemble, err := detector.Parse(c.URL)
	if err != nil {
		return ensemble, fmt.Errorf("Config.URL: %w", err) // without the URL, which may hold a password
	}
	if c.SessionTimeout < time.Millisecond {
		return ensemble, fmt.Errorf("Config.SessionTimeout is %v: want a time such as 10s, or zero for %v", c.SessionTimeout, defaultTimeout)
	}
	return ensemble, nil
}
