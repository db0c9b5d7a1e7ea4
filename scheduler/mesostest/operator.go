package mesostest

import (
	"net/http"
)

// routes are the endpoints of the master.
func (m *master) routes() http.Handler {
	mux := http.NewServeMux()
	handle := func(path string, h http.HandlerFunc) {
		mux.HandleFunc(path, h)
		mux.HandleFunc("/master"+path, h)
	}
	handle("/api/v1/scheduler", m.serveScheduler)
	handle("/health", func(w http.ResponseWriter, _ *http.Request) { respond(w, http.StatusOK, "") })
	handle("/redirect", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "//"+m.c.Master())
		respond(w, http.StatusTemporaryRedirect, "")
	})
	return mux
}
