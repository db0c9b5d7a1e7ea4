package cassandra

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/scheduler"
)

// RepairPlan is the name of the plan that brings replicas together that have
// drifted apart.
const RepairPlan = "repair"

// Repair are its parameters.
type Repair struct {
	// Keyspaces are what to repair; none: all that have replicas.
	Keyspaces []string `json:"keyspaces,omitempty"`
}

const (
	// repairWithin is how long a node may take.
	repairWithin = 24 * time.Hour
	// repairLook is how often it is asked whether it is done.
	repairLook = time.Second
)

// repairing has one node after the other compare the ranges of which it is the
// first replica with the others, so that each range is repaired once. A repair
// fails where a replica is down, so nobody is restarted meanwhile.
func (r ring) repairing() frameworks.PlanOf[Repair] {
	return frameworks.PlanOf[Repair]{
		Name: RepairPlan,
		Layout: func(d frameworks.Deployment, _ Repair) ([]frameworks.Stage, error) {
			var all []string
			for _, n := range members(d) {
				all = append(all, n.Name)
			}
			if len(all) == 0 {
				return nil, errors.New("there is no ring yet")
			}
			stage := frameworks.Stage{Name: "ranges"}
			for _, name := range all {
				stage.Steps = append(stage.Steps, frameworks.Step{Name: name, Nodes: all, Timeout: repairWithin})
			}
			return []frameworks.Stage{stage}, nil
		},
		Work: r.repair,
	}
}

func (r ring) repair(ctx context.Context, d frameworks.Deployment, p Repair, step frameworks.Step) (string, error) {
	n, ok := d.Node(step.Name)
	if !ok {
		return "", fmt.Errorf("node %q: %w", step.Name, frameworks.ErrUnknown)
	}
	node := r.reach(d, n)
	replicas, err := node.replicas(ctx)
	if err != nil {
		return "", fmt.Errorf("ask %s for its keyspaces: %w", n.Name, err)
	}
	delete(replicas, tracesKeyspace)
	known := slices.Sorted(maps.Keys(replicas))
	keyspaces := p.Keyspaces
	if len(keyspaces) == 0 {
		keyspaces = known
	}
	for i, keyspace := range keyspaces {
		if !slices.Contains(known, keyspace) {
			return "", fmt.Errorf("keyspace %q: wants one that has replicas: %s", keyspace, strings.Join(known, ", "))
		}
		scheduler.Progress(ctx, fmt.Appendf(nil, "keyspace %s, %d of %d", keyspace, i+1, len(keyspaces)))
		if err := node.repair(ctx, keyspace); err != nil {
			return "", fmt.Errorf("keyspace %s: %w", keyspace, err)
		}
	}
	return strings.Join(keyspaces, ", "), nil
}

// repair begins a full repair, and waits for its end. One that is not waited for
// any more goes on in the node.
func (j *jolokia) repair(ctx context.Context, keyspace string) error {
	var number int
	if err := j.execute(ctx, &number, "repairAsync(java.lang.String,java.util.Map)", keyspace, map[string]string{
		"incremental": "false", "parallelism": "parallel", "primaryRange": "true",
		"ignoreUnreplicatedKeyspaces": "true", // there is nobody to compare with
	}); err != nil {
		return err
	}
	if number == 0 {
		return nil // there is nothing to do
	}
	again := time.NewTicker(repairLook)
	defer again.Stop()
	for {
		var state []string // and what there is to say about it
		if err := j.execute(ctx, &state, "getParentRepairStatus(int)", number); err != nil {
			return err
		}
		switch {
		case len(state) == 0:
			return fmt.Errorf("the node knows nothing of repair %d any more: it was started anew", number)
		case state[0] == "COMPLETED":
			return nil
		case state[0] == "FAILED":
			return fmt.Errorf("repair %d failed: %s", number, strings.Join(state[1:], "; "))
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// execute has an operation carried out, and takes in what it returns.
func (j *jolokia) execute(ctx context.Context, result any, operation string, arguments ...any) error {
	values, err := j.ask(ctx, request{Type: "exec", MBean: storageService, Operation: operation, Arguments: arguments})
	if err != nil {
		return err
	}
	if err := json.Unmarshal(values[0], result); err != nil {
		return fmt.Errorf("what %s answered to %s: %w", j.address, operation, err)
	}
	return nil
}
