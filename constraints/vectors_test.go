package constraints_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/constraints"
)

// vector is a case of testdata/vectors.json: what each of the old systems says
// of one constraint, the values of what is placed and a candidate's value.
// Values begin with s: for scalars, r: for ranges, S: for sets; null is an
// agent without the field.
type vector struct {
	ID        int
	Operator  string
	Parameter *string
	Field     string
	Desired   int `json:"desired_instances"`
	Placed    []*string
	Candidate *string
	Results   map[string]string
}

// systems are the names in the vectors.
var systems = map[string]constraints.Dialect{
	"M19": constraints.Marathon, "M111": constraints.MarathonQuota, "K": constraints.Kafka, "D": constraints.DCOS,
}

func (v *vector) text(d constraints.Dialect) string {
	escape := strings.NewReplacer(`,`, `\,`, `:`, `\:`)
	if d == constraints.Kafka {
		escape = strings.NewReplacer(`,`, `\,`, `=`, `\=`, `\`, `\\`)
		words := map[string]string{"LIKE": "like", "UNLIKE": "unlike", "UNIQUE": "unique", "CLUSTER": "cluster", "GROUP_BY": "groupBy"}
		text := v.Field + "=" + words[v.Operator]
		if words[v.Operator] == "" {
			text += v.Operator
		}
		if v.Parameter != nil {
			text += ":" + escape.Replace(*v.Parameter)
		} else if strings.HasSuffix(v.Operator, "LIKE") {
			text += ":"
		}
		return text
	}
	text := v.Field + ":" + v.Operator
	if v.Parameter != nil {
		text += ":" + escape.Replace(*v.Parameter)
	}
	return text
}

func (v *vector) agent(t *testing.T, val *string) constraints.Agent {
	t.Helper()
	var a constraints.Agent
	if val == nil {
		return a
	}
	switch v.Field {
	case "hostname", "@hostname":
		a.Hostname = *val
	case "@region":
		a.Region = *val
	case "@zone":
		a.Zone = *val
	default:
		a.Attributes = []mesos.Attribute{attribute(t, v.Field, *val)}
	}
	return a
}

// attribute builds an attribute of a value with a prefix.
func attribute(t testing.TB, name, val string) mesos.Attribute {
	t.Helper()
	kind, rest, ok := strings.Cut(val, ":")
	if !ok {
		return text(name, val)
	}
	switch kind {
	case "s":
		x, err := strconv.ParseFloat(rest, 64)
		require.NoError(t, err)
		return scalar(name, x)
	case "r":
		var ranges []mesos.Value_Range
		for r := range strings.SplitSeq(rest, ",") {
			var one mesos.Value_Range
			_, err := fmt.Sscanf(r, "%d-%d", &one.Begin, &one.End)
			require.NoError(t, err)
			ranges = append(ranges, one)
		}
		return mesos.Attribute{Name: name, Type: mesos.RANGES, Ranges: &mesos.Value_Ranges{Range: ranges}}
	case "S":
		return mesos.Attribute{Name: name, Type: mesos.SET, Set: &mesos.Value_Set{Item: strings.Split(rest, ",")}}
	}
	return text(name, val)
}

func text(name, val string) mesos.Attribute {
	return mesos.Attribute{Name: name, Type: mesos.TEXT, Text: &mesos.Value_Text{Value: val}}
}

func scalar(name string, x float64) mesos.Attribute {
	return mesos.Attribute{Name: name, Type: mesos.SCALAR, Scalar: &mesos.Value_Scalar{Value: x}}
}

// verdict runs a vector through the public API.
func (v *vector) verdict(t *testing.T, d constraints.Dialect) string {
	rules, err := d.Parse(v.text(d))
	if err != nil {
		return "INVALID"
	}
	p := rules.Placement()
	p.Want(v.Desired)
	for _, val := range v.Placed {
		p.Place(v.agent(t, val))
	}
	violation, ok := p.Check(v.agent(t, v.Candidate))
	if ok {
		return "accept"
	}
	require.NotEmpty(t, violation.String())
	return "reject"
}

// refusedEarly are the vectors that we refuse as configuration where the old
// system took the constraint and failed on it later, every time.
var refusedEarly = map[string]string{
	"153/M19": "reject", "153/M111": "reject", // UNLIKE without a pattern never matches
}

func TestVectors(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/vectors.json")
	require.NoError(t, err)
	var vectors []vector
	require.NoError(t, json.Unmarshal(data, &vectors))
	passed := map[string]int{}
	for _, v := range vectors {
		for system, want := range v.Results {
			name := fmt.Sprintf("%d/%s", v.ID, system)
			t.Run(name, func(t *testing.T) {
				switch {
				case want == "n/a", strings.HasPrefix(want, "ERROR"):
					want = "INVALID" // what the system lacks or dies of is refused
				case refusedEarly[name] != "":
					require.Equal(t, want, refusedEarly[name])
					want = "INVALID"
				}
				require.Equal(t, want, v.verdict(t, systems[system]), "%s placed %v", v.text(systems[system]), len(v.Placed))
				passed[system]++
			})
		}
	}
	for system := range systems {
		t.Logf("%s: %d of %d", system, passed[system], len(vectors))
	}
}
