package offers

import (
	_ "github.com/mesokit/mesokit/constraints"
	_ "github.com/mesokit/mesokit/executor"
	_ "github.com/mesokit/mesokit/scheduler"
)
