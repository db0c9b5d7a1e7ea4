package kafka

import (
	_ "github.com/mesokit/mesokit/executor"
	_ "github.com/mesokit/mesokit/frameworks"
	_ "github.com/mesokit/mesokit/frameworks/cassandra"
	_ "github.com/mesokit/mesokit/scheduler/mesostest"
	_ "github.com/mesokit/mesokit/scheduler/state/statetest"
)
