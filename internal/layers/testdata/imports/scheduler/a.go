package scheduler

import (
	_ "github.com/mesokit/mesokit/frameworks"
	_ "github.com/mesokit/mesokit/offers"
	_ "github.com/mesokit/mesokit/scheduler/mesostest"
	_ "github.com/mesokit/mesokit/scheduler/state"
	_ "testing"
)
