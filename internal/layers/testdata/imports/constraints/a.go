package constraints

import (
	_ "github.com/mesokit/mesokit/internal/model"
	_ "github.com/mesokit/mesokit/offers"
)
