package frameworks

import (
	"errors"
	"fmt"
)

// refusals are all that stands against a declaration.
type refusals []error

// add says that a field cannot have a value, and why.
func (r *refusals) add(field string, value any, why string) {
	*r = append(*r, fmt.Errorf("%s: %v: %s", field, value, why))
}

func (r refusals) join() error { return errors.Join(r...) }
