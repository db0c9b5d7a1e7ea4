package frameworks

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/scheduler"
)

// What the API refuses by itself, before it asks the scheduler.
func TestAPIRefusals(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(quorum(3).API(&scheduler.Mailbox{}))
	t.Cleanup(server.Close)
	several := httptest.NewServer(twoServices().API(&scheduler.Mailbox{}))
	t.Cleanup(several.Close)
	for name, c := range map[string]struct {
		method, path, body string
		code               int
		message            string
	}{
		"not JSON":      {http.MethodPut, "/v1/pods/node", "four", 400, `body: cannot be read: invalid character 'o' in literal false (expecting 'a'); wants {"count": 4}`},
		"no count":      {http.MethodPut, "/v1/pods/node", "{}", 400, `body: cannot be read: count is missing; wants {"count": 4}`},
		"unknown field": {http.MethodPut, "/v1/pods/node", `{"counts": 4}`, 400, `body: cannot be read: json: unknown field "counts"; wants {"count": 4}`},
		"not a number":  {http.MethodPut, "/v1/pods/node", `{"count": "4"}`, 400, `cannot be read`},
		"huge":          {http.MethodPut, "/v1/pods/node", `{"count": ` + strings.Repeat("4", 1<<17), 400, `cannot be read`},
		"trailing":      {http.MethodPut, "/v1/pods/node", `{"count": 4} and more`, 400, "it goes on after the object"},
		"no options":    {http.MethodPut, "/v1/options", "{", 400, `body: cannot be read: it is no JSON`},
		"no such path":  {http.MethodGet, "/v1/nowhere", "", 404, "GET /v1/nowhere: Not Found"},
		"wrong method":  {http.MethodDelete, "/v1/status", "", 405, "DELETE /v1/status: Method Not Allowed"},
		"of no service": {http.MethodGet, "/v1/services/x/nowhere", "", 404, "GET /v1/nowhere: Not Found"},
		"escaped step":  {http.MethodPost, "/v1/services/x/plans/p/stages/a/steps/b%2Fc/explode", "", 404, `wish "explode": not found; there are force`},
		"unknown wish":  {http.MethodPost, "/v1/nodes/node-0/explode", "", 404, `wish "explode": not found; there are start, stop, restart, replace`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := server.URL
			if strings.HasPrefix(c.path, "/v1/services") {
				url = several.URL
			}
			request, err := http.NewRequest(c.method, url+c.path, strings.NewReader(c.body))
			require.NoError(t, err)
			answer, err := http.DefaultClient.Do(request)
			require.NoError(t, err)
			defer answer.Body.Close()
			text, err := io.ReadAll(answer.Body)
			require.NoError(t, err)
			assert.Equal(t, c.code, answer.StatusCode)
			var body struct{ Error string }
			require.NoError(t, json.Unmarshal(text, &body), "%s", text)
			assert.Contains(t, body.Error, c.message)
		})
	}
}
