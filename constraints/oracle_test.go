package constraints_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/constraints"
)

// oracle is a second, slow reading of the operators that count: it keeps the
// placed values in order (nil for an agent without the field) and counts anew
// each time.
type oracle struct {
	dialect   constraints.Dialect
	operator  string
	parameter string
	desired   int
	placed    []*string
}

func (o *oracle) remove(v *string) {
	for i, p := range o.placed {
		if p == nil && v == nil || p != nil && v != nil && *p == *v {
			o.placed = slices.Delete(o.placed, i, i+1)
			return
		}
	}
}

func (o *oracle) accepts(v *string) bool {
	if v == nil {
		return false
	}
	counts := map[string]int{} // the missing value is "" and is no value otherwise
	for _, p := range o.placed {
		switch {
		case p != nil:
			counts[*p]++
		case o.dialect == marathon || o.dialect == quota:
			counts[""]++
		}
	}
	c := counts[*v]
	n, _ := strconv.Atoi(o.parameter)
	switch o.operator {
	case "UNIQUE":
		return c == 0
	case "MAX_PER":
		return c < n
	case "CLUSTER":
		for _, p := range o.placed {
			if p != nil {
				return *p == *v
			}
			if o.dialect == marathon || o.dialect == quota {
				return false
			}
		}
		return true
	}
	least := 0
	for _, size := range counts {
		if least == 0 || size < least {
			least = size
		}
	}
	switch o.dialect {
	case kafka:
		if o.parameter == "" {
			n = 1
		}
		if len(counts) < n {
			return c == 0
		}
		return c == least
	case quota:
		if c == 0 {
			return len(counts) < n
		}
		quota, over := o.desired/n, 0
		for _, size := range counts {
			over += max(0, size-quota)
		}
		return c < quota || c == quota && over < o.desired%n
	case dcos:
		return c <= least && (o.parameter == "" || len(counts) >= n || c == 0)
	}
	return c == 0 || len(counts) >= n && c == least
}

// oracles are all the rules that the oracle knows.
func oracles() []oracle {
	var out []oracle
	for _, dialect := range []constraints.Dialect{marathon, quota, kafka, dcos} {
		out = append(out, oracle{dialect: dialect, operator: "UNIQUE"})
		for n := 1; n <= 4; n++ {
			if dialect != kafka {
				out = append(out, oracle{dialect: dialect, operator: "MAX_PER", parameter: strconv.Itoa(n)})
			}
			out = append(out, oracle{dialect: dialect, operator: "GROUP_BY", parameter: strconv.Itoa(n)})
		}
		if dialect != quota {
			out = append(out, oracle{dialect: dialect, operator: "GROUP_BY"})
		}
		if dialect != dcos {
			out = append(out, oracle{dialect: dialect, operator: "CLUSTER"})
		}
	}
	return out
}

func (o *oracle) vector(field string) *vector {
	v := &vector{Operator: o.operator, Field: field}
	if o.parameter != "" {
		v.Parameter = &o.parameter
	}
	return v
}

// drive runs steps, two bytes each, against the oracle and the placement.
func drive(t *testing.T, o *oracle, steps []byte) {
	rules, err := o.dialect.Parse(o.vector("rack").text(o.dialect))
	require.NoError(t, err)
	p := rules.Placement()
	names := []*string{nil}
	for i := range 5 {
		names = append(names, new(fmt.Sprint("r", i)))
	}
	o.desired = 1
	for i := 0; i+1 < len(steps); i += 2 {
		v := names[int(steps[i+1])%len(names)]
		a := o.vector("rack").agent(t, v)
		switch steps[i] % 8 {
		case 0, 1, 2:
			o.placed = append(o.placed, v)
			p.Place(a)
		case 3:
			o.remove(v)
			p.Remove(a)
		case 4:
			o.desired = int(steps[i+1]) % 20
			p.Want(o.desired)
		case 5: // place what is allowed, as a scheduler does
			if o.accepts(v) {
				o.placed = append(o.placed, v)
				p.Place(a)
			}
		}
		for _, name := range names {
			_, ok := p.Check(o.vector("rack").agent(t, name))
			require.Equal(t, o.accepts(name), ok, "%s %s %s after step %d", o.dialect, o.operator, o.parameter, i/2)
		}
	}
}

// The incremental counts agree with counting anew, whatever is placed and
// removed, and so placing and then removing restores.
func TestCountsAgreeWithOracle(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for _, o := range oracles() {
		steps := make([]byte, 2000)
		for i := range steps {
			steps[i] = byte(random.Uint32())
		}
		t.Run(fmt.Sprint(o.dialect, "/", o.operator, o.parameter), func(t *testing.T) {
			t.Parallel()
			drive(t, &o, steps)
		})
	}
}

func FuzzPlacement(f *testing.F) {
	f.Add(uint8(0), []byte{0, 1, 0, 2, 3, 1, 5, 1})
	f.Add(uint8(20), []byte{0, 0, 0, 1, 3, 0, 3, 0})
	f.Fuzz(func(t *testing.T, rule uint8, steps []byte) {
		all := oracles()
		drive(t, &all[int(rule)%len(all)], steps)
	})
}
