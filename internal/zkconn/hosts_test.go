package zkconn

import (
	"strings"
	"testing"
)

func TestHosts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ servers, want string }{
		{"a", "a -a -a connected a -a"},
		{"a b", "a b -a b connected a b -a"},
	} {
		h := &Hosts{}
		if err := h.Init(strings.Fields(c.servers)); err != nil {
			t.Fatal(err)
		}
		for i, want := range strings.Fields(c.want) {
			if want == "connected" {
				h.Connected()
				continue
			}
			server, pause := h.Next()
			got := server
			if pause {
				got = "-" + server
			}
			if got != want {
				t.Errorf("%s: step %d: got %s, want %s", c.servers, i, got, want)
			}
		}
	}
}
