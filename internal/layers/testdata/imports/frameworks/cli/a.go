package cli

import (
	_ "github.com/mesokit/mesokit/frameworks"
	_ "github.com/mesokit/mesokit/frameworks/kafka"
	_ "github.com/mesokit/mesokit/scheduler/mesostest"
)
