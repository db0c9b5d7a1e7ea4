package frameworks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
)

// planRoutes serves the plans:
//
//	GET  /v1/plans                    all of them: []PlanStatus
//	GET  /v1/plans/{plan}             PlanStatus
//	POST /v1/plans/{plan}/start       } the parameters as the body; taken and saved: 202
//	POST /v1/plans/{plan}/pause       } with the PlanStatus
//	POST /v1/plans/{plan}/resume      }
//	POST /v1/plans/{plan}/cancel      }
//	PUT  /v1/plans/{plan}/schedule    {"cron": "30 2 * * 0", "parameters": {…}}
//	POST /v1/plans/{plan}/stages/{stage}/steps/{step}/{wish}: force, skip or restart
func (a api) planRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/plans", func(w http.ResponseWriter, r *http.Request) {
		status, err := a.ask(r, AskStatus{})
		if status.Plans == nil {
			status.Plans = []PlanStatus{}
		}
		reply(w, http.StatusOK, status.Plans, err)
	})
	mux.HandleFunc("GET /v1/plans/{plan}", func(w http.ResponseWriter, r *http.Request) {
		a.toPlan(w, r, http.StatusOK, AskStatus{})
	})
	mux.HandleFunc("POST /v1/plans/{plan}/{wish}", a.wishPlan)
	mux.HandleFunc("PUT /v1/plans/{plan}/schedule", a.schedulePlan)
	mux.HandleFunc("POST /v1/plans/{plan}/stages/{stage}/steps/{step}/{wish}", a.wishStep)
}

// maxParameters bounds the body of a request about a plan.
const maxParameters = 1 << 20

func (a api) wishPlan(w http.ResponseWriter, r *http.Request) {
	plan := r.PathValue("plan")
	var command any
	switch r.PathValue("wish") {
	case "start":
		parameters, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxParameters))
		if err != nil {
			reply(w, 0, nil, fmt.Errorf("body: %w: %w; wants the parameters of the plan", errBody, err))
			return
		}
		command = StartPlan{Plan: plan, Parameters: parameters}
	case "pause":
		command = PausePlan{plan}
	case "resume":
		command = ResumePlan{plan}
	case "cancel":
		command = CancelPlan{plan}
	default:
		reply(w, 0, nil, fmt.Errorf("wish %q: %w; there are start, pause, resume, cancel", r.PathValue("wish"), ErrUnknown))
		return
	}
	a.toPlan(w, r, http.StatusAccepted, command)
}

func (a api) schedulePlan(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Cron       *string         `json:"cron"`
		Parameters json.RawMessage `json:"parameters"`
	}
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxParameters))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&body)
	if err == nil && body.Cron == nil {
		err = errors.New("cron is missing")
	}
	if err != nil {
		reply(w, 0, nil, fmt.Errorf("body: %w: %w; wants {\"cron\": \"30 2 * * 0\"}", errBody, err))
		return
	}
	a.toPlan(w, r, http.StatusAccepted, SchedulePlan{Plan: r.PathValue("plan"), Cron: *body.Cron, Parameters: body.Parameters})
}

func (a api) wishStep(w http.ResponseWriter, r *http.Request) {
	plan, stage, step := r.PathValue("plan"), r.PathValue("stage"), r.PathValue("step")
	var command any
	switch r.PathValue("wish") {
	case "force":
		command = ForceStep{plan, stage, step}
	case "skip":
		command = SkipStep{plan, stage, step}
	case "restart":
		command = RestartStep{plan, stage, step}
	default:
		reply(w, 0, nil, fmt.Errorf("wish %q: %w; there are force, skip, restart", r.PathValue("wish"), ErrUnknown))
		return
	}
	a.toPlan(w, r, http.StatusAccepted, command)
}

// toPlan sends a command, and answers with the plan in the path as it stands
// then.
func (a api) toPlan(w http.ResponseWriter, r *http.Request, code int, command any) {
	status, err := a.ask(r, command)
	if err != nil {
		reply(w, 0, nil, err)
		return
	}
	name := r.PathValue("plan")
	i := slices.IndexFunc(status.Plans, func(p PlanStatus) bool { return p.Name == name })
	if i < 0 {
		reply(w, 0, nil, fmt.Errorf("plan %q: %w", name, ErrUnknown))
		return
	}
	reply(w, code, status.Plans[i], nil)
}

// StartPlan begins a run of a plan, with parameters that can be encoded as
// JSON; nil: its defaults.
func (c Client) StartPlan(ctx context.Context, plan string, parameters any) (PlanStatus, error) {
	return c.plan(ctx, http.MethodPost, plan, "/start", parameters)
}

// PausePlan begins no other step of a plan; those under way go on to their end.
func (c Client) PausePlan(ctx context.Context, plan string) (PlanStatus, error) {
	return c.plan(ctx, http.MethodPost, plan, "/pause", nil)
}

// ResumePlan lets a plan go on that is paused.
func (c Client) ResumePlan(ctx context.Context, plan string) (PlanStatus, error) {
	return c.plan(ctx, http.MethodPost, plan, "/resume", nil)
}

// CancelPlan ends a run of a plan.
func (c Client) CancelPlan(ctx context.Context, plan string) (PlanStatus, error) {
	return c.plan(ctx, http.MethodPost, plan, "/cancel", nil)
}

// SchedulePlan changes when a plan begins by itself; cron empty: never.
func (c Client) SchedulePlan(ctx context.Context, plan, cron string, parameters any) (PlanStatus, error) {
	return c.plan(ctx, http.MethodPut, plan, "/schedule", map[string]any{"cron": cron, "parameters": parameters})
}

// ForceStep calls a step of a run complete.
func (c Client) ForceStep(ctx context.Context, plan, stage, step string) (PlanStatus, error) {
	return c.step(ctx, plan, stage, step, "force")
}

// SkipStep leaves a step of a run out.
func (c Client) SkipStep(ctx context.Context, plan, stage, step string) (PlanStatus, error) {
	return c.step(ctx, plan, stage, step, "skip")
}

// RestartStep does a step of a run again.
func (c Client) RestartStep(ctx context.Context, plan, stage, step string) (PlanStatus, error) {
	return c.step(ctx, plan, stage, step, "restart")
}

func (c Client) step(ctx context.Context, plan, stage, step, wish string) (PlanStatus, error) {
	path := "/stages/" + url.PathEscape(stage) + "/steps/" + url.PathEscape(step) + "/" + wish
	return c.plan(ctx, http.MethodPost, plan, path, nil)
}

func (c Client) plan(ctx context.Context, method, plan, path string, body any) (PlanStatus, error) {
	var status PlanStatus
	return status, c.do(ctx, method, "/v1/plans/"+url.PathEscape(plan)+path, body, &status)
}
