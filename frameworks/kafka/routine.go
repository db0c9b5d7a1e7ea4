package kafka

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/mesokit/mesokit/frameworks"
)

// What a node is called by its part in the quorum.
const (
	activeController = "active controller"
	anyController    = "controller"
)

// forget is the work that has the cluster forget a broker that has left.
const forget = "forget"

// forgetAgain is how long a forget that failed is not tried again.
const forgetAgain = 10 * time.Second

// kept is what the routine remembers.
type kept struct {
	Retry time.Time `json:"retry,omitzero"` // no forget before
}

// keeping is what the framework does as long as the cluster lives: it names the
// controllers, so that a rollout takes the active one last, and has the cluster
// forget brokers that have left, which it would else list, and count as voters,
// for ever.
var keeping = frameworks.RoutineOf[kept, view]{
	Name: "keeping",
	Look: func(ctx context.Context, d frameworks.Deployment, _ kept) (view, error) {
		if !slices.ContainsFunc(d.Nodes, func(n frameworks.Node) bool { return n.Ready }) {
			return view{}, nil // nobody can be asked, as before the first is there
		}
		return ask(ctx, d)
	},
	Decide: keep,
	Work: func(ctx context.Context, d frameworks.Deployment, _ kept, do frameworks.Do) (string, error) {
		id, err := strconv.ParseInt(do.Input, 10, 32)
		if err != nil {
			return "", err
		}
		return "", forgetBroker(ctx, d, int32(id))
	},
}

func keep(now time.Time, d frameworks.Deployment, memory kept, news frameworks.News[view]) (kept, []frameworks.Order) {
	if news.Done != nil && news.Done.Err != "" {
		memory.Retry = now.Add(forgetAgain)
	}
	if news.View == nil || len(news.View.Voters) == 0 {
		return memory, nil
	}
	var orders []frameworks.Order
	there := map[int32]bool{}
	for _, n := range d.Nodes {
		id, role := int32(n.Index), ""
		there[id] = true
		if slices.ContainsFunc(news.View.Voters, func(v voter) bool { return v.ID == id }) {
			role = anyController
		}
		if id == news.View.Leader {
			role = activeController
		}
		if n.Role != role {
			orders = append(orders, frameworks.Name{Node: n.Name, Role: role})
		}
	}
	for _, b := range news.View.Brokers {
		// One that is not fenced yet may still run: unregistered, it would be
		// there half.
		if b.Fenced && !there[b.ID] && !now.Before(memory.Retry) {
			orders = append(orders, frameworks.Do{Name: forget, Input: strconv.Itoa(int(b.ID))})
			break // one at a time
		}
	}
	return memory, orders
}
