package scheduler

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCheckVersion(t *testing.T) {
	t.Parallel()
	for version, ok := range map[string]bool{
		"1.12.0": true, "1.4.0": true, "1.4": true, "2.0.0-dev": true, "1.10.0-rc1": true, "": true, "dev": true, "1.x": true,
		"1.3.9": false, "0.28.2": false, "1.0.0": false,
	} {
		if err := checkVersion(version); ok {
			assert.NoError(t, err, version)
		} else {
			assert.ErrorIs(t, err, ErrRefused, version)
			assert.ErrorContains(t, err, "Mesos "+version)
		}
	}
}
