package zkconn

import "sync"

// Hosts are the servers, in turn: a zk.HostProvider. Unlike the library's own
// they are looked up by name at each dial, since addresses change, and the first
// round after a lost connection has no pause before it. It is for one connection
// of the library.
type Hosts struct {
	mu      sync.Mutex
	servers []string
	next    int
	tried   int // since the last connection
}

// Init takes the servers, each host:port.
func (h *Hosts) Init(servers []string) error {
	h.servers = servers
	return nil
}

// Len is how many servers there are.
func (h *Hosts) Len() int { return len(h.servers) }

// Next returns the server to dial; pause asks for a second of it before that.
func (h *Hosts) Next() (server string, pause bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	server = h.servers[h.next%len(h.servers)]
	pause = h.tried > 0 && h.tried%len(h.servers) == 0
	h.next++
	h.tried++
	return server, pause
}

// Connected begins a new round.
func (h *Hosts) Connected() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tried = 0
}
