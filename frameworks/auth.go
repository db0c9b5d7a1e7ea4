package frameworks

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
)

// Authenticated lets only requests pass that carry the token ("Authorization:
// Bearer …"); others are answered with 401. Whether the scheduler is healthy
// (GET /v1/health) everybody may ask. An empty token lets all pass.
func Authenticated(token string, api http.Handler) http.Handler {
	if token == "" {
		return api
	}
	want := sha256.Sum256([]byte(token)) // of one length, whatever is offered
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		is := sha256.Sum256([]byte(strings.TrimSpace(given)))
		known := strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(is[:], want[:]) == 1
		if !known && (r.Method != http.MethodGet || r.URL.Path != "/v1/health") {
			w.Header().Set("WWW-Authenticate", "Bearer")
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_ = json.NewEncoder(w).Encode(map[string]string{"error": "wants the token of the API"}) // as in reply
			return
		}
		api.ServeHTTP(w, r)
	})
}

// derived is a token made of another for one purpose: who learns it learns
// nothing of the other.
func derived(token, purpose string) string {
	if token == "" {
		return ""
	}
	mac := hmac.New(sha256.New, []byte(token))
	mac.Write([]byte(purpose))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}
