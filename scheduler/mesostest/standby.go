package mesostest

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
)

// StandBy makes the master step down and answer as one does that does not
// lead: it redirects to the leader, another master's "host:port", or says that
// there is none if leader is empty. Subscriptions end. [Cluster.StartMaster]
// makes it lead again, with what it remembered. Where masters elect their
// leader in ZooKeeper StandBy is an error.
func (c *Cluster) StandBy(leader string) error {
	if c.cfg.ZooKeeper != "" {
		return errors.New("mesostest: StandBy: the masters elect their leader in ZooKeeper: use StopMaster")
	}
	if leader != "" {
		if _, _, err := net.SplitHostPort(leader); err != nil {
			return fmt.Errorf("mesostest: leader %q: want host:port: %w", leader, err)
		}
	}
	p := c.masters[0]
	p.starting.Lock()
	defer p.starting.Unlock()
	c.electing.Lock()
	defer c.electing.Unlock()
	p.stepDown()
	if !p.Up() {
		if err := p.serve(); err != nil {
			return err
		}
	}
	p.redirect(leader)
	return nil
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
