//go:build unix && !linux

package executor_test

import "errors"

func mountTmpfs(string, int) error { return errors.ErrUnsupported }
