package frameworks

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/mesokit/mesokit/scheduler"
)

// courier takes a command to whom it is for, and brings the answer back: a
// scheduler.Mailbox, or one of several services behind it.
type courier interface {
	Send(ctx context.Context, command any) (any, error)
}

// API serves the services to their operators, as JSON over HTTP:
//
//	GET /v1/services            Overview
//	PUT /v1/services/{service}  options of a service to add: 202 with the Overview
//	GET /v1/health              200 once connected and reconciled, else 503
//	    /v1/services/{service}/ all of Service.API under its /v1/
//
// Errors are as in Service.API.
func (s *Services) API(mail *scheduler.Mailbox) http.Handler {
	a := servicesAPI{mail: mail}
	one := inJSON(newAPI(toOne{mail}))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/services", a.list)
	mux.HandleFunc("PUT /v1/services/{service}", a.add)
	mux.HandleFunc("GET /v1/health", a.health)
	mux.HandleFunc("/v1/services/{service}/{rest...}", func(w http.ResponseWriter, r *http.Request) {
		inner := r.Clone(context.WithValue(r.Context(), serviceKey{}, r.PathValue("service")))
		_, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/v1/services/"), "/")
		inner.URL.Path, inner.URL.RawPath = "/v1/"+r.PathValue("rest"), "/v1/"+rest
		one.ServeHTTP(w, inner)
	})
	return http.NewCrossOriginProtection().Handler(inJSON(mux))
}

// toOne takes commands to the service that is named in the context.
type toOne struct{ mail *scheduler.Mailbox }

type serviceKey struct{}

func (c toOne) Send(ctx context.Context, command any) (any, error) {
	name, _ := ctx.Value(serviceKey{}).(string)
	return c.mail.Send(ctx, ToService{Service: name, Command: command})
}

type servicesAPI struct{ mail *scheduler.Mailbox }

func (a servicesAPI) ask(r *http.Request, command any) (Overview, error) {
	return answerTo[Overview](a.mail, r, command)
}

func (a servicesAPI) list(w http.ResponseWriter, r *http.Request) {
	overview, err := a.ask(r, ListServices{})
	reply(w, http.StatusOK, overview, err)
}

func (a servicesAPI) health(w http.ResponseWriter, r *http.Request) {
	overview, err := a.ask(r, ListServices{})
	code := http.StatusOK
	if !overview.Connected || !overview.Reconciled {
		code = http.StatusServiceUnavailable
	}
	reply(w, code, map[string]bool{"connected": overview.Connected, "reconciled": overview.Reconciled}, err)
}

func (a servicesAPI) add(w http.ResponseWriter, r *http.Request) {
	options, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err == nil && len(options) > 0 && !json.Valid(options) {
		err = fmt.Errorf("it is no JSON")
	}
	if err != nil {
		reply(w, 0, nil, fmt.Errorf("body: %w: %w; wants the options of the service", errBody, err))
		return
	}
	overview, err := a.ask(r, AddService{Name: r.PathValue("service"), Options: options})
	reply(w, http.StatusAccepted, overview, err)
}
