package state

import (
	_ "github.com/mesokit/mesokit/scheduler"
)
