package frameworks

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// maxOptions bounds the body of a request that changes options, in bytes.
const maxOptions = 1 << 20

func (a api) options(w http.ResponseWriter, r *http.Request) {
	report, err := answerTo[OptionsReport](a.mail, r, AskOptions{})
	reply(w, http.StatusOK, report, err)
}

// update takes the body, whatever JSON it is, for options.
func (a api) update(w http.ResponseWriter, r *http.Request) {
	options, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOptions))
	if err == nil && !json.Valid(options) {
		err = errors.New("it is no JSON")
	}
	if err != nil {
		reply(w, 0, nil, fmt.Errorf("body: %w: %w", errBody, err))
		return
	}
	a.wish(Update{Options: options, Shrink: r.URL.Query().Get("shrink") == "true"})(w, r)
}

// wish is the handler of a command without parameters.
func (a api) wish(command any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		status, err := a.ask(r, command)
		reply(w, http.StatusAccepted, status, err)
	}
}

// inJSON says in JSON, too, that there is no such path or method.
func inJSON(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		refused := mute{header: w.Header()}
		mux.ServeHTTP(&refused, r)
		if refused.code != http.StatusNotFound && refused.code != http.StatusMethodNotAllowed {
			mux.ServeHTTP(w, r) // a redirect
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(refused.code)
		text := fmt.Sprintf("%s %s: %s", r.Method, r.URL.Path, http.StatusText(refused.code))
		_ = json.NewEncoder(w).Encode(map[string]string{"error": text}) // the operator hung up; there is nobody to tell
	})
}

// mute keeps the code of an answer, and none of its text.
type mute struct {
	header http.Header
	code   int
}

func (m *mute) Header() http.Header            { return m.header }
func (m *mute) WriteHeader(code int)           { m.code = code }
func (m *mute) Write(text []byte) (int, error) { return len(text), nil }
