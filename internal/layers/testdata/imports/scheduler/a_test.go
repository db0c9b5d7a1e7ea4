package scheduler_test

import (
	_ "github.com/mesokit/mesokit/frameworks"
	_ "github.com/mesokit/mesokit/scheduler/mesostest"
)
