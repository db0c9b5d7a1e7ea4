package mesostest

import (
	_ "github.com/mesokit/mesokit/frameworks"
	_ "github.com/mesokit/mesokit/internal/model"
	_ "github.com/mesokit/mesokit/scheduler"
	_ "testing"
)
