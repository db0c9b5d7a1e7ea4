package scheduler

import (
	"errors"
	"fmt"

	"github.com/mesokit/mesokit/scheduler/state"
)

// errStore says that the store did not let the scheduler subscribe.
var errStore = errors.New("before subscribing")

// failedOver turns the words of a store that is fenced, and the cause of a
// context that ended with the lead, into those of Run.
func failedOver(err error) error {
	if !errors.Is(err, state.ErrFenced) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrFailedOver, err)
}
