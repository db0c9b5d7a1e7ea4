package offers

import (
	"iter"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/constraints"
)

// Reserve finds a place for each request, over all the offers of each agent
// taken together. What one request takes is gone for the others, and where it
// is placed counts for their rules. A request is placed as a whole or not at
// all; then the report says why not. The matches are in the order of the
// requests.
//
// The requests are tried in their order, each on the agent that ranks first.
// When some find no place, other ways are tried: those that fit on the fewest
// agents first; the first agent by id that will do; and a search, which is
// bounded, for a way to place all. The way that places most is taken. The
// result does not depend on the order of the offers.
//
// A [Pool] does the same for offers that come and go.
func Reserve(held iter.Seq[*mesos.Offer], requests []Request) ([]Match, Report) {
	b := batch{agents: agentsOf(held), table: new(constraints.Agents)}
	return b.reserve(requests)
}
