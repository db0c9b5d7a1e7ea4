package mesostest

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// StandBy makes the master step down and answer as one does that does not
// lead: it redirects to the leader, another master's "host:port", or says that
// there is none if leader is empty. Subscriptions end. [Cluster.StartMaster]
// makes it lead again, with what it remembered.
func (c *Cluster) StandBy(leader string) error {
	if leader != "" {
		if _, _, err := net.SplitHostPort(leader); err != nil {
			return fmt.Errorf("mesostest: leader %q: want host:port: %w", leader, err)
		}
	}
	c.StopMaster()
	c.endStandby()
	l, err := listen(c.Master())
	if err != nil {
		return fmt.Errorf("mesostest: Address: %w", err)
	}
	server := &http.Server{Handler: standby(leader), ReadHeaderTimeout: time.Minute}
	c.mu.Lock()
	c.standby = server
	c.mu.Unlock()
	c.work.Go(func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			c.cfg.Log.Error("standby stopped serving", "error", err)
		}
	})
	return nil
}

// endStandby frees the address for a master that leads.
func (c *Cluster) endStandby() {
	c.mu.Lock()
	server := c.standby
	c.standby = nil
	c.mu.Unlock()
	if server != nil {
		if err := server.Close(); err != nil {
			c.cfg.Log.Debug("close standby", "error", err)
		}
	}
}

// standby answers as a master that does not lead.
func standby(leader string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := strings.TrimPrefix(r.URL.Path, "/master")
		switch {
		case path == "/health":
			respond(w, http.StatusOK, "")
		case leader == "" && path == "/redirect":
			respond(w, http.StatusOK, "")
		case leader == "":
			respond(w, http.StatusServiceUnavailable, "No leader elected")
		default:
			location := "//" + leader
			if path != "/redirect" {
				location += "/master" + path
			}
			w.Header().Set("Location", location)
			respond(w, http.StatusTemporaryRedirect, "")
		}
	})
}
