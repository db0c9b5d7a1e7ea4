package util

import (
	_ "github.com/mesokit/mesokit/offers"
)
