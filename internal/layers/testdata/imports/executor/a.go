package executor

import (
	_ "github.com/mesokit/mesokit/internal/model"
	_ "github.com/mesokit/mesokit/scheduler/state"
)
