package kafka

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/mesokit/mesokit/frameworks"
)

func TestOnlyOneVolumeIsEmptiedAtATime(t *testing.T) {
	t.Parallel()
	ready := func(name string) frameworks.Node { return frameworks.Node{Name: name, Ready: true} }
	gone := ready("broker-0")
	gone.Replace = true
	for name, c := range map[string]struct {
		peers []frameworks.Node
		want  string
	}{
		"all are ready":             {[]frameworks.Node{ready("broker-0"), ready("broker-1"), ready("broker-2")}, ""},
		"it alone is not":           {[]frameworks.Node{ready("broker-0"), {Name: "broker-1"}, ready("broker-2")}, ""},
		"another is not":            {[]frameworks.Node{{Name: "broker-0"}, ready("broker-1"), ready("broker-2")}, "broker-0 is not ready"},
		"another is to be replaced": {[]frameworks.Node{gone, ready("broker-1"), ready("broker-2")}, "broker-0 is not ready"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := replaceable(frameworks.Deployment{Nodes: c.peers}, c.peers[1])
			if c.want == "" {
				assert.NoError(t, err)
			} else {
				assert.ErrorContains(t, err, c.want)
			}
		})
	}
}
