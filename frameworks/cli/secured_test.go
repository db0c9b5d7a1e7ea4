package cli

import (
	"bytes"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks"
)

// fileOf writes a file for a flag.
func fileOf(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

// An API that speaks HTTPS, and wants a token.
func TestSecuredAPI(t *testing.T) {
	t.Parallel()
	api := &fake{statuses: []frameworks.Status{brokers(frameworks.Ready)}}
	server := httptest.NewTLSServer(frameworks.Authenticated("secret", http.Handler(api)))
	defer server.Close()
	certificate := fileOf(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	run := func(args ...string) (string, error) {
		var out bytes.Buffer
		c := App{Name: "mesos-kafka", Declaration: nothing{}, Pods: []Pod{{Name: "broker"}}}.Command()
		c.SetOut(&out)
		c.SetArgs(append([]string{"status", "--api", server.URL}, args...))
		err := c.ExecuteContext(t.Context())
		return out.String(), err
	}
	out, err := run("--ca-file", certificate, "--token-file", fileOf(t, "secret\n"))
	require.NoError(t, err)
	assert.Contains(t, out, "kafka: 1 of 1 brokers ready")
	_, err = run("--ca-file", certificate, "--token-file", fileOf(t, "other"))
	require.EqualError(t, err, "wants the token of the API")
	_, err = run("--ca-file", certificate)
	require.EqualError(t, err, "wants the token of the API")
	_, err = run("--token-file", fileOf(t, "secret"))
	require.ErrorContains(t, err, "certificate")
	for _, wrong := range [][]string{{"--ca-file", fileOf(t, "none")}, {"--ca-file", "/nowhere"}, {"--token-file", fileOf(t, " \n")}, {"--token-file", "/nowhere"}} {
		_, err = run(wrong...)
		require.ErrorContains(t, err, wrong[0])
		assert.Equal(t, 2, ExitStatus(err))
	}
}
