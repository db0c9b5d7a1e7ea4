package frameworks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/mesokit/mesokit/scheduler"
)

// API serves a service to its operators, as JSON over HTTP:
//
//	GET  /v1/status                  Status
//	GET  /v1/health                  200 once connected and reconciled, else 503
//	GET  /v1/nodes/{node}            NodeStatus
//	POST /v1/nodes/{node}/start      }
//	POST /v1/nodes/{node}/stop       } taken and saved: 202 with the NodeStatus;
//	POST /v1/nodes/{node}/restart    } ask again to see it happen
//	POST /v1/nodes/{node}/replace    } (restart, replace, remove with ?force=true:
//	POST /v1/nodes/{node}/remove     } whatever is lost by it)
//	POST /v1/nodes/{node}/allow      } lifts what a routine holds against it
//	PUT  /v1/pods/{pod}              {"count": 4}: 202 with the Status; {"count": 2, "force": true}
//	GET  /v1/options                 OptionsReport: those in force, and what they can be
//	PUT  /v1/options                 the options themselves: 202 with the Status; ?shrink=true: volumes may become smaller
//	POST /v1/rollback                back to the last good options: 202 with the Status
//	POST /v1/uninstall               202 with the Status; there is no way back
//
// An error is {"error": "…"} with 400, 404, 409 (the wish cannot be granted),
// or 503 (the scheduler does not answer). Requests never touch the scheduler:
// they wait in the mailbox for their turn. A page of another site in an
// operator's browser is refused (403).
func (s *Service) API(mail *scheduler.Mailbox) http.Handler {
	return http.NewCrossOriginProtection().Handler(inJSON(newAPI(mail)))
}

func newAPI(mail courier) *http.ServeMux {
	a := api{mail: mail}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", a.status)
	mux.HandleFunc("GET /v1/health", a.health)
	mux.HandleFunc("GET /v1/nodes/{node}", a.node)
	mux.HandleFunc("POST /v1/nodes/{node}/{wish}", a.operate)
	mux.HandleFunc("PUT /v1/pods/{pod}", a.scale)
	mux.HandleFunc("GET /v1/options", a.options)
	mux.HandleFunc("PUT /v1/options", a.update)
	mux.HandleFunc("POST /v1/rollback", a.wish(Rollback{}))
	mux.HandleFunc("POST /v1/uninstall", a.wish(Uninstall{}))
	a.planRoutes(mux)
	return mux
}

type api struct{ mail courier }

// answerTime bounds how long a request waits for the scheduler.
const answerTime = 10 * time.Second

func (a api) ask(r *http.Request, command any) (Status, error) {
	return answerTo[Status](a.mail, r, command)
}

func answerTo[T any](mail courier, r *http.Request, command any) (none T, _ error) {
	ctx, cancel := context.WithTimeout(r.Context(), answerTime)
	defer cancel()
	answer, err := mail.Send(ctx, command)
	if err != nil {
		return none, err
	}
	return answer.(T), nil
}

func (a api) status(w http.ResponseWriter, r *http.Request) {
	status, err := a.ask(r, AskStatus{})
	reply(w, http.StatusOK, status, err)
}

func (a api) health(w http.ResponseWriter, r *http.Request) {
	status, err := a.ask(r, AskStatus{})
	code := http.StatusOK
	if !status.Connected || !status.Reconciled {
		code = http.StatusServiceUnavailable
	}
	reply(w, code, map[string]bool{"connected": status.Connected, "reconciled": status.Reconciled}, err)
}

func (a api) node(w http.ResponseWriter, r *http.Request) {
	status, err := a.ask(r, AskStatus{})
	a.replyNode(w, r, http.StatusOK, status, err)
}

func (a api) operate(w http.ResponseWriter, r *http.Request) {
	node := r.PathValue("node")
	force := r.URL.Query().Get("force") == "true"
	var command any
	switch r.PathValue("wish") {
	case "start":
		command = StartNode{node}
	case "stop":
		command = StopNode{node}
	case "restart":
		command = RestartNode{Node: node, Force: force}
	case "replace":
		command = ReplaceNode{Node: node, Force: force}
	case "allow":
		command = AllowNode{node}
	case "remove":
		command = RemoveNode{Node: node, Force: force}
	default:
		reply(w, 0, nil, fmt.Errorf("wish %q: %w; there are start, stop, restart, replace, remove, allow", r.PathValue("wish"), ErrUnknown))
		return
	}
	status, err := a.ask(r, command)
	if _, gone := command.(RemoveNode); gone && err == nil && !slices.ContainsFunc(status.Nodes, func(n NodeStatus) bool { return n.Name == node }) {
		reply(w, http.StatusAccepted, NodeStatus{Node: Node{Name: node, Goal: GoalLeave}}, nil)
		return
	}
	a.replyNode(w, r, http.StatusAccepted, status, err)
}

func (a api) replyNode(w http.ResponseWriter, r *http.Request, code int, status Status, err error) {
	if err != nil {
		reply(w, code, nil, err)
		return
	}
	for _, n := range status.Nodes {
		if n.Name == r.PathValue("node") {
			reply(w, code, n, nil)
			return
		}
	}
	reply(w, code, nil, unknownNode(r.PathValue("node"), status))
}

func (a api) scale(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Count *int `json:"count"`
		Force bool `json:"force"`
	}
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&body)
	switch {
	case err == nil && body.Count == nil:
		err = errors.New("count is missing")
	case err == nil && decoder.More():
		err = errors.New("it goes on after the object")
	}
	if err != nil {
		reply(w, 0, nil, fmt.Errorf("body: %w: %w; wants {\"count\": 4}", errBody, err))
		return
	}
	status, err := a.ask(r, ScalePod{Pod: r.PathValue("pod"), Count: *body.Count, Force: body.Force})
	reply(w, http.StatusAccepted, status, err)
}

var errBody = errors.New("cannot be read")

func reply(w http.ResponseWriter, code int, value any, err error) {
	switch {
	case err == nil:
	case errors.Is(err, errBody):
		code = http.StatusBadRequest
	case errors.Is(err, ErrUnknown):
		code = http.StatusNotFound
	case errors.Is(err, ErrRefused):
		code = http.StatusConflict
	default:
		code = http.StatusServiceUnavailable
	}
	if err != nil {
		value = map[string]string{"error": err.Error()}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(value) // the operator hung up; there is nobody to tell
}
