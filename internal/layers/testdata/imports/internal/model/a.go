package model

import (
	_ "github.com/mesokit/mesokit/internal/sandbox"
	_ "github.com/mesokit/mesokit/offers"
)
