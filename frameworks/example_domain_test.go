package frameworks_test

import (
	"context"
	"fmt"
	"time"

	"github.com/mesokit/mesokit/frameworks"
)

// term is what the failover below remembers: who takes writes, and who did
// before and may not have noticed that it is over.
type term struct {
	Primary string `json:"primary,omitempty"`
	Former  string `json:"former,omitempty"`
}

// failover is the decision of a routine: a pure function, so that it is tested
// as one. Its orders are carried out after what it remembers is saved.
func failover(now time.Time, d frameworks.Deployment, m term, news frameworks.News[[]string]) (term, []frameworks.Order) {
	switch {
	case news.View == nil: // a work has ended, or a node has changed: a look follows at once
		return m, nil
	case len(*news.View) > 0 && (*news.View)[0] == m.Primary:
		return m, nil
	case m.Former == "" && m.Primary != "":
		m.Former, m.Primary = m.Primary, ""
		return m, []frameworks.Order{frameworks.Withhold{Node: m.Former}, frameworks.Name{Node: m.Former}}
	}
	if former, ok := d.Node(m.Former); ok && !former.Harmless(now) || len(*news.View) == 0 {
		return m, nil // it may still take writes, until its lease is over
	}
	m.Primary = (*news.View)[0]
	return m, []frameworks.Order{
		frameworks.Do{Name: "promote", Node: m.Primary},
		frameworks.Name{Node: m.Primary, Role: "primary"},
	}
}

// A routine looks at the servers, decides, and orders. The look and the work
// ask servers; the decision is pure.
func ExampleRoutineOf() {
	routine := frameworks.RoutineOf[term, []string]{
		Name: "failover", Every: 2 * time.Second,
		Look: func(context.Context, frameworks.Deployment, term) ([]string, error) {
			return []string{"node-1"}, nil // who answers, the primary first
		},
		Decide: failover,
		Work: func(_ context.Context, d frameworks.Deployment, _ term, do frameworks.Do) (string, error) {
			return do.Node + " takes writes", nil // log in with d.Secret("admin")
		},
	}
	_ = frameworks.Service{Routines: []frameworks.Routine{routine.Routine()}}

	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	answer := []string{"node-1"} // node-0 does not, and has no lease left
	m, orders := failover(now, frameworks.Deployment{}, term{Primary: "node-0"}, frameworks.News[[]string]{View: &answer})
	fmt.Printf("%+v %v\n", m, orders)
	m, orders = failover(now, frameworks.Deployment{}, m, frameworks.News[[]string]{View: &answer})
	fmt.Printf("%+v %v\n", m, orders[0].(frameworks.Do).Node)
	// Output:
	// {Primary: Former:node-0} [{node-0} {node-0 }]
	// {Primary:node-1 Former:node-0} node-1
}

// backup is what may be chosen for a run of the plan below.
type backup struct {
	Target string `json:"target"`
}

// A plan is work with an end. It is laid out in stages of steps when it begins,
// and kept in the store from then on.
func ExamplePlanOf() {
	plan := frameworks.PlanOf[backup]{
		Name: "backup", Schedule: "30 2 * * *", Defaults: backup{Target: "s3://backups"},
		Layout: func(d frameworks.Deployment, p backup) ([]frameworks.Stage, error) {
			copies := frameworks.Stage{Name: "copy", Parallel: 2}
			for _, n := range d.Pod("node") {
				copies.Steps = append(copies.Steps, frameworks.Step{Name: n.Name, Nodes: []string{n.Name}})
			}
			return []frameworks.Stage{copies, {Name: "forget-old", After: []string{"copy"}, Steps: []frameworks.Step{{Name: "forget"}}}}, nil
		},
		Work: func(_ context.Context, d frameworks.Deployment, p backup, step frameworks.Step) (string, error) {
			return step.Name + " copied to " + p.Target, nil
		},
	}
	_ = frameworks.Service{Plans: []frameworks.Plan{plan.Plan()}}

	members := frameworks.Deployment{Nodes: []frameworks.Node{
		{Name: "node-0", Pod: "node", Place: &frameworks.Place{}}, {Name: "node-1", Pod: "node", Place: &frameworks.Place{}},
	}}
	stages, _ := plan.Layout(members, plan.Defaults)
	for _, stage := range stages {
		for _, step := range stage.Steps {
			fmt.Println(stage.Name, step.Name, step.Nodes)
		}
	}
	// Output:
	// copy node-0 [node-0]
	// copy node-1 [node-1]
	// forget-old forget []
}
