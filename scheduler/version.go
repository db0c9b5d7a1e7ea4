package scheduler

import (
	"fmt"
	"strconv"
	"strings"
)

// oldestMaster is the first Mesos that has what this package builds on: 1.3
// brought the roles of a framework that change while it runs, 1.4 reservation
// refinement and the tasks of unreachable agents.
var oldestMaster = [2]int{1, 4}

// checkVersion refuses a master that is too old. One that does not say its
// version, or says it in another way, is given the benefit of the doubt.
func checkVersion(version string) error {
	var have [2]int
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return nil
	}
	for i := range have {
		n, err := strconv.Atoi(parts[i])
		if err != nil {
			return nil
		}
		have[i] = n
	}
	if have[0] > oldestMaster[0] || have[0] == oldestMaster[0] && have[1] >= oldestMaster[1] {
		return nil
	}
	return fmt.Errorf("%w: it is Mesos %s, and reservation refinement needs %d.%d or newer",
		ErrRefused, version, oldestMaster[0], oldestMaster[1])
}
