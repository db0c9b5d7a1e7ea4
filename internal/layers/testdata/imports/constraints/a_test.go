package constraints

import (
	_ "github.com/mesokit/mesokit/scheduler/mesostest"
	_ "testing"
)
