package offers

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// Resources are quantities by name: what a node needs, or what there is of
// everything, whoever it is reserved for. The zero value is nothing. It is a
// value: no method changes its receiver or its argument.
type Resources struct {
	// Invariant: ordered by name and then kind, each once, none of them empty;
	// the slice is never changed after it was made.
	items []quantity
}

// quantity is a scalar, ranges or a set, as kind says; the others are empty.
type quantity struct {
	name   string
	kind   mesos.Value_Type
	scalar Amount
	ranges ranges
	set    []string // ordered, each once
}

// Parse reads "cpus:0.1;mem:32;ports:[31000-31099];disks:{sda,sdb}", the form
// of Mesos's command line without roles. Memory and disk are in MiB. A name
// that comes twice counts twice.
func Parse(text string) (Resources, error) {
	var r Resources
	for part := range strings.SplitSeq(text, ";") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		q, err := parseQuantity(part)
		if err != nil {
			return Resources{}, fmt.Errorf("resources %q: %w", text, err)
		}
		r = r.Add(Resources{items: []quantity{q}}.normal())
		if r.Amount(q.name) > MaxAmount {
			return Resources{}, fmt.Errorf("resources %q: %s adds up to more than %v", text, q.name, MaxAmount)
		}
	}
	for i, q := range r.items {
		if i > 0 && r.items[i-1].name == q.name {
			return Resources{}, fmt.Errorf("resources %q: %s is given in two kinds: %s and %s",
				text, q.name, r.items[i-1].value(), q.value())
		}
	}
	return r, nil
}

// MustParse is Parse for text in the program itself; it panics on an error.
func MustParse(text string) Resources {
	r, err := Parse(text)
	if err != nil {
		panic("offers: " + err.Error())
	}
	return r
}

func parseQuantity(text string) (quantity, error) {
	name, value, found := strings.Cut(text, ":")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	switch {
	case !found || name == "":
		return quantity{}, fmt.Errorf("%q is not name:value", strings.TrimSpace(text))
	case strings.ContainsAny(name, "()[]{},"):
		return quantity{}, fmt.Errorf("%q is not a name (a role does not belong here)", name)
	}
	q, err := parseValue(value)
	if err != nil {
		return quantity{}, fmt.Errorf("%s: %w", name, err)
	}
	q.name = name
	return q, nil
}

func parseValue(text string) (q quantity, err error) {
	switch {
	case strings.HasPrefix(text, "["):
		q.kind = mesos.RANGES
		q.ranges, err = parseRanges(text)
	case strings.HasPrefix(text, "{"):
		q.kind = mesos.SET
		q.set, err = parseSet(text)
	default:
		q.kind = mesos.SCALAR
		q.scalar, err = ParseAmount(text)
	}
	return q, err
}

func parseSet(text string) ([]string, error) {
	inner, closed := strings.CutSuffix(strings.TrimPrefix(text, "{"), "}")
	if !closed || strings.ContainsAny(inner, "{}") {
		return nil, fmt.Errorf("%q is not a set such as {a,b}", text)
	}
	if strings.TrimSpace(inner) == "" {
		return nil, nil
	}
	var read []string
	for item := range strings.SplitSeq(inner, ",") {
		if item = strings.TrimSpace(item); item == "" {
			return nil, fmt.Errorf("set %q has an empty element", text)
		}
		read = append(read, item)
	}
	return setOf(read), nil
}

func setOf(items []string) []string {
	if len(items) == 0 {
		return nil
	}
	return slices.Compact(slices.Sorted(slices.Values(items)))
}

// Sum is all that lies in the resources, by name, whoever it is reserved for.
func Sum(resources []mesos.Resource) Resources {
	items := make([]quantity, 0, len(resources))
	for i := range resources {
		items = append(items, quantityOf(&resources[i]))
	}
	return Resources{items: items}.normal()
}

// quantityOf reads what the type of the resource says that it has, and leaves
// out what is below zero.
func quantityOf(r *mesos.Resource) quantity {
	q := quantity{name: r.Name, kind: r.GetType()}
	switch q.kind {
	case mesos.SCALAR:
		q.scalar = max(0, AmountOf(r.GetScalar().GetValue()))
	case mesos.RANGES:
		q.ranges = rangesOf(r.GetRanges().GetRange())
	case mesos.SET:
		q.set = setOf(r.GetSet().GetItem())
	}
	return q
}

// normal orders the items, adds up those of one name and kind, and drops the
// empty ones. It may change the slice, which must be the caller's own.
func (r Resources) normal() Resources {
	slices.SortStableFunc(r.items, compareQuantities)
	kept := r.items[:0]
	for _, q := range r.items {
		if last := len(kept) - 1; last >= 0 && compareQuantities(kept[last], q) == 0 {
			kept[last] = kept[last].plus(q)
			continue
		}
		kept = append(kept, q)
	}
	return Resources{items: slices.DeleteFunc(kept, quantity.empty)}
}

func compareQuantities(a, b quantity) int {
	return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.kind, b.kind))
}

func (q quantity) empty() bool {
	return q.scalar == 0 && len(q.ranges) == 0 && len(q.set) == 0
}

func (q quantity) plus(more quantity) quantity {
	q.scalar += more.scalar
	q.ranges = q.ranges.plus(more.ranges)
	q.set = setOf(slices.Concat(q.set, more.set))
	return q
}

func (q quantity) minus(less quantity) quantity {
	q.scalar -= less.scalar
	if len(less.ranges) > 0 {
		q.ranges = q.ranges.minus(less.ranges)
	}
	if len(less.set) > 0 {
		q.set = slices.DeleteFunc(slices.Clone(q.set), func(s string) bool { return slices.Contains(less.set, s) })
	}
	return q
}

func (q quantity) contains(other quantity) bool {
	return q.scalar >= other.scalar && q.ranges.contains(other.ranges) &&
		!slices.ContainsFunc(other.set, func(s string) bool { return !slices.Contains(q.set, s) })
}

// value is how the quantity is written after its name.
func (q quantity) value() string {
	switch q.kind {
	case mesos.RANGES:
		return q.ranges.String()
	case mesos.SET:
		return "{" + strings.Join(q.set, ",") + "}"
	default:
		return q.scalar.String()
	}
}

// find returns what there is of that name and kind.
func (r Resources) find(name string, kind mesos.Value_Type) quantity {
	i, found := slices.BinarySearchFunc(r.items, quantity{name: name, kind: kind}, compareQuantities)
	if !found {
		return quantity{name: name, kind: kind}
	}
	return r.items[i]
}

// Amount is how much there is of a scalar; zero where there is none.
func (r Resources) Amount(name string) Amount { return r.find(name, mesos.SCALAR).scalar }

// Scalars are the names and amounts of all scalars, ordered by name.
func (r Resources) Scalars() iter.Seq2[string, Amount] {
	return func(yield func(string, Amount) bool) {
		for _, q := range r.items {
			if q.kind == mesos.SCALAR && !yield(q.name, q.scalar) {
				return
			}
		}
	}
}

// Empty says whether there is nothing at all.
func (r Resources) Empty() bool { return len(r.items) == 0 }

// With returns r with the scalar of that name set to the amount.
func (r Resources) With(name string, amount Amount) Resources {
	items := slices.DeleteFunc(slices.Clone(r.items), func(q quantity) bool {
		return q.name == name && q.kind == mesos.SCALAR
	})
	return Resources{items: append(items, quantity{name: name, kind: mesos.SCALAR, scalar: amount})}.normal()
}

// Add is both together. Numbers of ranges and items of sets count once.
func (r Resources) Add(more Resources) Resources {
	return Resources{items: slices.Concat(r.items, more.items)}.normal()
}

// Subtract is what remains of r without less. Where r does not contain all of
// less it returns r as it is, and false.
func (r Resources) Subtract(less Resources) (Resources, bool) {
	if !r.Contains(less) {
		return r, false
	}
	rest := slices.Clone(r.items)
	for i, q := range rest {
		rest[i] = q.minus(less.find(q.name, q.kind))
	}
	return Resources{items: rest}.normal(), true
}

// Contains says whether there is as much as other of everything.
func (r Resources) Contains(other Resources) bool {
	for _, q := range other.items {
		if !r.find(q.name, q.kind).contains(q) {
			return false
		}
	}
	return true
}

// Equal says whether both are the same quantities.
func (r Resources) Equal(other Resources) bool {
	return r.Contains(other) && other.Contains(r)
}

// List is r as unreserved resources of Mesos.
func (r Resources) List() []mesos.Resource {
	list := make([]mesos.Resource, 0, len(r.items))
	for _, q := range r.items {
		list = append(list, q.resource())
	}
	return list
}

func (q quantity) resource() mesos.Resource {
	r := mesos.Resource{Name: q.name, Type: q.kind.Enum()}
	switch q.kind {
	case mesos.RANGES:
		r.Ranges = &mesos.Value_Ranges{Range: slices.Clone(q.ranges)}
	case mesos.SET:
		r.Set = &mesos.Value_Set{Item: slices.Clone(q.set)}
	default:
		r.Scalar = q.scalar.Scalar()
	}
	return r
}

// String is what Parse reads: "cpus:0.1;mem:32", ordered by name.
func (r Resources) String() string {
	var text strings.Builder
	for i, q := range r.items {
		if i > 0 {
			text.WriteByte(';')
		}
		text.WriteString(q.name + ":" + q.value())
	}
	return text.String()
}

// MarshalText writes what String returns.
func (r Resources) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what Parse reads.
func (r *Resources) UnmarshalText(text []byte) error {
	read, err := Parse(string(text))
	if err != nil {
		return err
	}
	*r = read
	return nil
}
