package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// control does to a cluster what it is told over HTTP.
type control struct {
	cluster *mesostest.Cluster
	change  sync.Mutex // held while something is done

	mu     sync.Mutex
	added  []agent  // at run time
	faults []*fault // those that were not ended, in the order of their numbers
	last   int      // number of the last fault
}

func newControl(c *mesostest.Cluster) *control { return &control{cluster: c} }

// What is answered.
type (
	status struct {
		Master       masterStatus  `json:"master"`
		ActiveAgents int           `json:"active_agents"` // registered and connected
		Agents       []agentStatus `json:"agents"`
	}
	masterStatus struct {
		Address string `json:"address"`
		URL     string `json:"url"`
		Leading bool   `json:"leading"`
	}
	memberStatus struct {
		Number  int    `json:"number"`
		Address string `json:"address"`
		Up      bool   `json:"up"`
		Leading bool   `json:"leading"`
		Paused  bool   `json:"paused"`
	}
	agentStatus struct {
		Number      int    `json:"number"`
		Hostname    string `json:"hostname"`
		IP          string `json:"ip"`
		ID          string `json:"id"`
		Up          bool   `json:"up"`
		Partitioned bool   `json:"partitioned"`
		WorkDir     string `json:"work_dir"`
	}
	taskStatus struct {
		ID          string `json:"id"`
		FrameworkID string `json:"framework_id"`
		AgentID     string `json:"agent_id"`
		Hostname    string `json:"hostname"`
		State       string `json:"state"`
	}
	processStatus struct {
		Hostname    string `json:"hostname"`
		PID         int    `json:"pid"`
		FrameworkID string `json:"framework_id"`
		ExecutorID  string `json:"executor_id"`
		TaskID      string `json:"task_id,omitempty"`
		ContainerID string `json:"container_id"`
		Sandbox     string `json:"sandbox"`
	}
	sandboxStatus struct {
		Hostname    string `json:"hostname"`
		AgentID     string `json:"agent_id"`
		FrameworkID string `json:"framework_id"`
		ExecutorID  string `json:"executor_id"`
		ContainerID string `json:"container_id"`
		Path        string `json:"path"`
	}
	failure struct {
		Error string `json:"error"`
	}
)

// actions are what can be done to an agent.
var actions = map[string]func(*mesostest.Agent) error{
	"kill":      func(a *mesostest.Agent) error { a.Kill(); return nil },
	"stop":      func(a *mesostest.Agent) error { a.Stop(); return nil },
	"start":     (*mesostest.Agent).Start,
	"restart":   (*mesostest.Agent).Restart,
	"reset":     (*mesostest.Agent).Reset,
	"partition": func(a *mesostest.Agent) error { a.Partition(); return nil },
	"heal":      func(a *mesostest.Agent) error { a.Heal(); return nil },
	"retire":    func(a *mesostest.Agent) error { a.Retire(); return nil },
}

// memberActions are what can be done to one of several masters.
var memberActions = map[string]func(*mesostest.Master) error{
	"kill":   func(m *mesostest.Master) error { m.Kill(); return nil },
	"start":  (*mesostest.Master).Start,
	"pause":  func(m *mesostest.Master) error { m.Pause(); return nil },
	"resume": func(m *mesostest.Master) error { m.Resume(); return nil },
}

// routes are the paths of the control interface.
func (c *control) routes() http.Handler {
	mux := http.NewServeMux()
	list := func(path string, answer func() any) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, answer()) })
	}
	list("/{$}", func() any { return c.status() })
	list("/master", func() any { return c.masterStatus() })
	list("/masters", func() any { return c.memberStatuses() })
	list("/agents", func() any { return c.agentStatuses() })
	list("/faults", func() any { return c.listFaults() })
	list("/tasks", func() any { return c.tasks() })
	list("/processes", func() any { return c.processes() })
	list("/sandboxes", func() any { return c.sandboxes() })
	list("/journal", func() any { return strings.Split(c.cluster.Journal(), "\n") })
	mux.HandleFunc("GET /agents/{agent}", func(w http.ResponseWriter, r *http.Request) {
		if i, ok := c.find(w, r); ok {
			reply(w, http.StatusOK, c.agentStatus(i))
		}
	})
	mux.HandleFunc("POST /agents", c.addAgents)
	mux.HandleFunc("POST /agents/{agent}/{action}", c.serveAgent)
	mux.HandleFunc("POST /master/{action}", c.serveMaster)
	mux.HandleFunc("POST /masters/{number}/{action}", c.serveMember)
	mux.HandleFunc("POST /faults", c.addFault)
	mux.HandleFunc("DELETE /faults/{number}", c.endFault)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, "%s %s is not served: want GET of /, /master, /masters, /agents, /agents/{hostname}, /tasks, "+
			"/processes, /sandboxes, /faults or /journal, POST of /agents, /agents/{hostname}/{action}, /master/{action}, "+
			"/masters/{number}/{action} or /faults, or DELETE of /faults/{number}", r.Method, r.URL.Path)
	})
	// A page in a browser must not stop what runs here.
	return http.NewCrossOriginProtection().Handler(mux)
}

// serveAgent does something to an agent.
func (c *control) serveAgent(w http.ResponseWriter, r *http.Request) {
	i, ok := c.find(w, r)
	if !ok {
		return
	}
	name := r.PathValue("action")
	action := actions[name]
	if action == nil {
		refuse(w, http.StatusNotFound, "action is %q: want kill, stop, start, restart, reset, partition, heal or retire", name)
		return
	}
	c.change.Lock()
	defer c.change.Unlock()
	if err := action(c.cluster.Agent(i)); err != nil {
		refuse(w, http.StatusInternalServerError, "%s %s: %s", name, c.cluster.Agent(i).Hostname(), err)
		return
	}
	reply(w, http.StatusOK, c.agentStatus(i))
}

// serveMaster does something to the master.
func (c *control) serveMaster(w http.ResponseWriter, r *http.Request) {
	c.change.Lock()
	defer c.change.Unlock()
	var err error
	switch action := r.PathValue("action"); action {
	case "kill":
		c.cluster.StopMaster()
	case "start":
		err = c.cluster.StartMaster()
	case "restart":
		err = c.cluster.RestartMaster()
	case "standby":
		leader := r.FormValue("leader")
		if _, _, bad := net.SplitHostPort(leader); leader != "" && bad != nil {
			refuse(w, http.StatusBadRequest, "leader is %q: want host:port, such as 127.0.0.1:5051", leader)
			return
		}
		err = c.cluster.StandBy(leader)
	default:
		refuse(w, http.StatusNotFound, "action is %q: want kill, start, restart or standby", action)
		return
	}
	if err != nil {
		refuse(w, http.StatusInternalServerError, "%s", err)
		return
	}
	reply(w, http.StatusOK, c.masterStatus())
}

// serveMember does something to one of several masters.
func (c *control) serveMember(w http.ResponseWriter, r *http.Request) {
	all := c.cluster.Masters()
	i, err := strconv.Atoi(r.PathValue("number"))
	if err != nil || i < 0 || i >= len(all) {
		refuse(w, http.StatusNotFound, "number is %q: want a master's, from 0 to %d", r.PathValue("number"), len(all)-1)
		return
	}
	name := r.PathValue("action")
	action := memberActions[name]
	if action == nil {
		refuse(w, http.StatusNotFound, "action is %q: want kill, start, pause or resume", name)
		return
	}
	c.change.Lock()
	defer c.change.Unlock()
	if err := action(all[i]); err != nil {
		refuse(w, http.StatusInternalServerError, "%s master %d: %s", name, i, err)
		return
	}
	reply(w, http.StatusOK, c.memberStatuses()[i])
}

// addAgents adds what the body describes as an entry of the cluster file does.
func (c *control) addAgents(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	var added cluster
	if err == nil {
		err = added.addText(string(text))
	}
	if err == nil {
		added.agents[0].at = ""
		// The cluster knows whether its master has a fault domain.
		err = errors.Join(added.agents[0].validate(true)...)
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, "%s", err)
		return
	}
	c.change.Lock()
	defer c.change.Unlock()
	all := []agentStatus{}
	for _, a := range added.machines() {
		if _, err := c.cluster.AddAgent(a.AgentConfig); err != nil {
			code := http.StatusInternalServerError
			if errors.Is(err, mesostest.ErrConfig) {
				code = http.StatusBadRequest
			}
			refuse(w, code, "%s", err)
			return
		}
		c.mu.Lock()
		c.added = append(c.added, a)
		c.mu.Unlock()
		all = append(all, c.agentStatus(len(c.cluster.Agents())-1))
	}
	reply(w, http.StatusCreated, all)
}

// find finds the agent that a request is about, by hostname or by number.
func (c *control) find(w http.ResponseWriter, r *http.Request) (int, bool) {
	name := r.PathValue("agent")
	all := c.cluster.Agents()
	i := slices.IndexFunc(all, func(a *mesostest.Agent) bool { return a.Hostname() == name })
	if n, err := strconv.Atoi(name); i < 0 && err == nil && n >= 0 && n < len(all) {
		i = n
	}
	if i < 0 {
		var known []string
		for _, a := range all {
			known = append(known, a.Hostname())
		}
		refuse(w, http.StatusNotFound, "agent is %q: want one of %s, or its number from 0", name, strings.Join(known, ", "))
	}
	return i, i >= 0
}

func (c *control) status() status {
	return status{Master: c.masterStatus(), ActiveAgents: c.cluster.ActiveAgents(), Agents: c.agentStatuses()}
}

func (c *control) masterStatus() masterStatus {
	return masterStatus{Address: c.cluster.Master(), URL: c.cluster.URL(), Leading: c.cluster.Leads()}
}

func (c *control) memberStatuses() []memberStatus {
	all := []memberStatus{}
	for i, m := range c.cluster.Masters() {
		all = append(all, memberStatus{Number: i, Address: m.Address(), Up: m.Up(), Leading: m.Leads(), Paused: m.Paused()})
	}
	return all
}

func (c *control) agentStatus(i int) agentStatus {
	a := c.cluster.Agent(i)
	return agentStatus{
		Number: i, Hostname: a.Hostname(), IP: a.Address(), ID: a.ID(), Up: a.Up(), Partitioned: a.Partitioned(), WorkDir: a.Dir(),
	}
}

func (c *control) agentStatuses() []agentStatus {
	all := []agentStatus{}
	for i := range c.cluster.Agents() {
		all = append(all, c.agentStatus(i))
	}
	return all
}

func (c *control) tasks() []taskStatus {
	hostnames := map[string]string{}
	for _, a := range c.cluster.Agents() {
		hostnames[a.ID()] = a.Hostname()
	}
	all := []taskStatus{}
	for _, t := range c.cluster.Tasks() {
		all = append(all, taskStatus{t.ID, t.FrameworkID, t.AgentID, hostnames[t.AgentID], t.State.String()})
	}
	return all
}

func (c *control) processes() []processStatus {
	all := []processStatus{}
	for _, a := range c.cluster.Agents() {
		for _, p := range a.Processes() {
			all = append(all, processStatus{a.Hostname(), p.PID, p.FrameworkID, p.ExecutorID, p.TaskID, p.ContainerID, p.Sandbox})
		}
	}
	return all
}

// sandboxes lists those of ended executors too, as they lie in the work
// directories.
func (c *control) sandboxes() []sandboxStatus {
	all := []sandboxStatus{}
	for _, a := range c.cluster.Agents() {
		root := os.DirFS(a.Dir())
		for _, below := range []string{"", "/containers/*"} {
			// The pattern is well formed, which is all that Glob complains of.
			paths, _ := fs.Glob(root, "slaves/*/frameworks/*/executors/*/runs/*"+below)
			for _, path := range paths {
				part := strings.Split(path, "/")
				if part[7] == "latest" {
					continue // a link to one of the others
				}
				all = append(all, sandboxStatus{
					a.Hostname(), part[1], part[3], part[5], part[len(part)-1], filepath.Join(a.Dir(), filepath.FromSlash(path)),
				})
			}
		}
	}
	return all
}

func reply(w http.ResponseWriter, code int, answer any) {
	b, err := json.Marshal(answer)
	if err != nil {
		code, b = http.StatusInternalServerError, []byte(`{"error":"the answer has no form in JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(b, '\n')) // the other end may be gone
}

func refuse(w http.ResponseWriter, code int, format string, args ...any) {
	reply(w, code, failure{fmt.Sprintf(format, args...)})
}
