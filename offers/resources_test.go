package offers

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ text, want, err string }{
		"nothing":           {" ; ", "", ""},
		"scalars":           {"mem: 32 ;cpus:0.1", "cpus:0.1;mem:32", ""},
		"three decimals":    {"cpus:0.1235", "cpus:0.124", ""},
		"twice is the sum":  {"cpus:0.1;cpus:0.2", "cpus:0.3", ""},
		"zero is nothing":   {"cpus:0", "", ""},
		"ranges are merged": {"ports:[5-6, 1-3,4-4]", "ports:[1-6]", ""},
		"no range":          {"ports:[]", "", ""},
		"the last number":   {"ports:[0-18446744073709551615]", "ports:[0-18446744073709551615]", ""},
		"sets are ordered":  {"disks:{b, a,b}", "disks:{a,b}", ""},
		"any name":          {"fpga:2", "fpga:2", ""},
		"no value":          {"cpus", "", `resources "cpus": "cpus" is not name:value`},
		"no number":         {"cpus:many", "", `resources "cpus:many": cpus: "many" is not a number such as 0.1 or 32`},
		"not a number":      {"cpus:NaN", "", `cpus: "NaN" is not a number`},
		"hexadecimal":       {"cpus:0x1p2", "", `cpus: "0x1p2" is not a number`},
		"below zero":        {"cpus:-1", "", `cpus: "-1" is below zero`},
		"too small":         {"cpus:0.0001", "", `cpus: "0.0001" is below 0.001: Mesos keeps three decimals`},
		"too large":         {"cpus:1e13", "", `cpus: "1e13" is above 1000000000000`},
		"infinite":          {"cpus:inf", "", `cpus: "inf" is above`},
		"sum too large":     {"cpus:1e12;cpus:1", "", "cpus adds up to more than 1000000000000"},
		"two kinds":         {"cpus:1;cpus:[1-2]", "", "cpus is given in two kinds: 1 and [1-2]"},
		"a role":            {"cpus(db):1", "", `"cpus(db)" is not a name (a role does not belong here)`},
		"range backwards":   {"ports:[3-1]", "", `ports: range "3-1" ends before it begins`},
		"range open":        {"ports:[3-1", "", "is not a list of ranges such as"},
		"half a range":      {"ports:[3]", "", `ports: "3" is not a range such as 31000-31099`},
		"set open":          {"disks:{a", "", `disks: "{a" is not a set such as {a,b}`},
		"set with a hole":   {"disks:{a,,b}", "", `disks: set "{a,,b}" has an empty element`},
		"a word for ranges": {"ports:31000-31099", "", `ports: "31000-31099" is not a number`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := Parse(c.text)
			if c.err != "" {
				assert.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.want, r.String())
		})
	}
	assert.PanicsWithValue(t, `offers: resources "cpus": "cpus" is not name:value`, func() { MustParse("cpus") })
}

func FuzzParse(f *testing.F) {
	f.Add("cpus:0.1;mem:32;ports:[1-2,4-5];disks:{a,b}")
	f.Add("ports:[0-18446744073709551615]")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(r.String())
		if err != nil || !again.Equal(r) || again.String() != r.String() {
			t.Fatalf("%q is read back from %q as %q: %v", r, text, again, err)
		}
		for _, q := range r.items {
			if !q.ranges.sound() || q.empty() {
				t.Fatalf("%q breaks an invariant", text)
			}
		}
		if !Sum(r.List()).Equal(r) {
			t.Fatalf("%q is not the sum of its list", text)
		}
		if nothing, ok := r.Subtract(again); !ok || !nothing.Empty() {
			t.Fatalf("%q without itself is %q", text, nothing)
		}
	})
}

func FuzzParseAgent(f *testing.F) {
	f.Add("cpus(db):0.1;cpus:1;mem:32;ports:[1-2,4-5];disks:{a,b}")
	f.Add(`[{"name":"disk","type":"SCALAR","scalar":{"value":5},"disk":{"source":{"type":"MOUNT","mount":{"root":"/a"}}}}]`)
	f.Add(`[{"name":"cpus","type":"SCALAR","scalar":{"value":5},"role":"db"}]`)
	f.Fuzz(func(t *testing.T, text string) {
		list, err := ParseAgent(text)
		if err != nil {
			return
		}
		printed := FormatAgent(list)
		again, err := ParseAgent(printed)
		if err != nil || !Contains(list, again) || !Contains(again, list) {
			t.Fatalf("%q from %q is read back as %v: %v", printed, text, again, err)
		}
	})
}

func TestParseAgent(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ text, want, err string }{
		"text":           {"cpus:4;mem(db/x):512; cpus:0.5", "cpus:4.5;mem(db/x):512", ""},
		"role *":         {"cpus(*):4", "cpus:4", ""},
		"JSON as text":   {`[{"name":"cpus","type":"SCALAR","scalar":{"value":2},"role":"db"}]`, "cpus(db):2", ""},
		"no role":        {"cpus():4", "", `"cpus()" is not name(role)`},
		"role open":      {"cpus(db:4", "", `"cpus(db" is not name(role)`},
		"no value":       {"cpus(db)", "", "is not name:value or name(role):value"},
		"negative JSON":  {`[{"name":"cpus","type":"SCALAR","scalar":{"value":-2}}]`, "", "element 0 (cpus): scalar -2 is not between 0 and 1000000000000"},
		"text JSON":      {`[{"name":"cpus","type":"TEXT"}]`, "", "is none of SCALAR, RANGES, SET"},
		"broken JSON":    {`[{]`, "", "resources as JSON"},
		"no type":        {`[{"name":"cpus"}]`, "", "cpus"},
		"backwards JSON": {`[{"name":"ports","type":"RANGES","ranges":{"range":[{"begin":2,"end":1}]}}]`, "", "range 2-1 ends before it begins"},
		"two kinds":      {"cpus:1;cpus:{a}", "", "cpus is given in two kinds"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			list, err := ParseAgent(c.text)
			if c.err != "" {
				assert.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.want, FormatAgent(list))
		})
	}
	list := []mesos.Resource{mount("disk:100", "/a"), mount("disk:100", "/b")}
	text := FormatAgent(list)
	again, err := ParseAgent(text)
	require.NoError(t, err, text)
	assert.Equal(t, list[0].Disk.Source.Mount.GetRoot(), again[0].Disk.Source.Mount.GetRoot())
	assert.True(t, Contains(again, list) && Contains(list, again))
}

func TestAmount(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]Amount{
		0.1 + 0.2: 300, 0.0005: 1, 0.00049999: 0, -0.0005: -1, 2.5: 2500, 1e300: MaxAmount, math.Inf(-1): -MaxAmount,
		0.49999999999999994 / 1000: 0, 999999999999.999: 999999999999999,
	} {
		assert.Equal(t, want, AmountOf(v), "%v", v)
	}
	assert.Zero(t, AmountOf(math.NaN()))
	r := rand.New(rand.NewPCG(4, 4))
	for range 10000 {
		a := Amount(r.Int64N(int64(MaxAmount)))
		assert.Equal(t, a, AmountOf(a.Value()))
		read, err := ParseAmount(a.String())
		assert.NoError(t, err)
		assert.Equal(t, a, read)
	}
	assert.Equal(t, "-0.05", Amount(-50).String())
	text, err := json.Marshal(Lack{Resource: "mem", Asked: 1500})
	require.NoError(t, err)
	var back Lack
	require.NoError(t, json.Unmarshal(text, &back))
	assert.Equal(t, Amount(1500), back.Asked)
	assert.Error(t, json.Unmarshal([]byte(`{"asked":"x"}`), &back))
}

// The arithmetic agrees with mesos-go's, which does as Mesos does.
func TestArithmeticAgreesWithMesos(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 5))
	some := func(ports string) []mesos.Resource { // no port lies in two lists
		list := MustParse(ports).List()
		for range r.IntN(5) {
			one := MustParse([]string{"cpus:0.7", "cpus:0.1", "mem:33.3"}[r.IntN(3)]).List()[0]
			if r.IntN(2) == 0 {
				one.Reservations = []mesos.Resource_ReservationInfo{{
					Type: mesos.Resource_ReservationInfo_STATIC.Enum(), Role: new([]string{"db", "web"}[r.IntN(2)])}}
			}
			list = append(list, one)
		}
		return list
	}
	for range 2000 {
		a, b := some("ports:[1-5,8-8]"), some("ports:[6-7];disks:{a,b}")
		sum := Plus(a, b)
		theirs := mesos.Resources(a).Clone()
		theirs = theirs.Plus(b...)
		if !Contains(sum, theirs) || !Contains(theirs, sum) {
			t.Fatalf("%v + %v: %v, mesos-go has %v", a, b, sum, theirs)
		}
		if rest, ok := Minus(sum, b); !ok || !Contains(rest, a) || !Contains(a, rest) {
			t.Fatalf("%v + %v - %v = %v", a, b, b, rest)
		}
		taken, rest, ok := Take(sum, MustParse("cpus:0.5"))
		if ok != (Sum(sum).Amount("cpus") >= 500) {
			t.Fatalf("Take of %v: %v", sum, ok)
		}
		if whole := Plus(taken, rest); !Contains(whole, sum) || !Contains(sum, whole) {
			t.Fatalf("Take made %v of %v", whole, sum)
		}
	}
}

func TestResourcesAreValues(t *testing.T) {
	t.Parallel()
	a, b := MustParse("cpus:1;ports:[1-9]"), MustParse("cpus:0.5;ports:[3-4]")
	rest, ok := a.Subtract(b)
	assert.True(t, ok)
	assert.Equal(t, "cpus:0.5;ports:[1-2,5-9]", rest.String())
	same, ok := b.Subtract(a)
	assert.False(t, ok)
	assert.Equal(t, b, same)
	a.Add(b)
	a.With("cpus", 7)
	assert.Equal(t, "cpus:1;ports:[1-9]", a.String())
	assert.Equal(t, "cpus:0.5;mem:2;ports:[3-4]", b.With("mem", 2000).String())
	text, err := json.Marshal(a)
	require.NoError(t, err)
	var back Resources
	require.NoError(t, json.Unmarshal(text, &back))
	assert.True(t, back.Equal(a))
	assert.Error(t, json.Unmarshal([]byte(`"cpus"`), &back))
}

func TestLimits(t *testing.T) {
	t.Parallel()
	limits, err := MustParse("cpus:2;mem:64").Limits(MustParse("cpus:1;mem:64"))
	require.NoError(t, err)
	assert.Equal(t, map[string]mesos.Value_Scalar{"cpus": {Value: 2}, "mem": {Value: 64}}, limits)
	_, err = MustParse("mem:32").Limits(MustParse("mem:64"))
	assert.EqualError(t, err, "limit mem:32 is below the 64 that the task needs")
	_, err = MustParse("disk:32").Limits(Resources{})
	assert.EqualError(t, err, "limit disk:32: Mesos limits only cpus and mem")
}
