package offers

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// ParseAgent reads what an agent is started with (--resources): text such as
// "cpus:8;mem:4096;disk(db):1000;ports:[31000-31099]", where a role in brackets
// reserves statically for it, or a JSON list of resources, which can say
// everything that a message can. Amounts of a kind are added up.
func ParseAgent(text string) ([]mesos.Resource, error) {
	if strings.HasPrefix(strings.TrimSpace(text), "[") {
		return parseJSON(text)
	}
	var list []mesos.Resource
	for part := range strings.SplitSeq(text, ";") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		r, err := parseWithRole(part)
		if err != nil {
			return nil, fmt.Errorf("resources %q: %w", text, err)
		}
		list = plusOne(list, &r)
	}
	return list, checkList(list)
}

func parseWithRole(text string) (mesos.Resource, error) {
	name, value, found := strings.Cut(text, ":")
	before, after, hasRole := strings.Cut(name, "(")
	role := ""
	if hasRole {
		var rest string
		role, rest, _ = strings.Cut(after, ")")
		if role = strings.TrimSpace(role); strings.TrimSpace(rest) != "" || !strings.Contains(after, ")") || role == "" {
			return mesos.Resource{}, fmt.Errorf("%q is not name(role)", strings.TrimSpace(name))
		}
		name = before
	}
	if !found {
		return mesos.Resource{}, fmt.Errorf("%q is not name:value or name(role):value", strings.TrimSpace(text))
	}
	q, err := parseQuantity(name + ":" + value)
	if err != nil {
		return mesos.Resource{}, err
	}
	r := q.resource()
	if role != "" && role != "*" {
		r = reserved(&r, mesos.Resource_ReservationInfo{
			Type: mesos.Resource_ReservationInfo_STATIC.Enum(), Role: &role})
	}
	return r, nil
}

func parseJSON(text string) ([]mesos.Resource, error) {
	var read, list []mesos.Resource
	if err := json.Unmarshal([]byte(text), &read); err != nil {
		return nil, fmt.Errorf("resources as JSON: %w", err)
	}
	for i := range read {
		if err := checkResource(&read[i]); err != nil {
			return nil, fmt.Errorf("resources as JSON: element %d (%s): %w", i, read[i].Name, err)
		}
		list = plusOne(list, &read[i])
	}
	return list, checkList(list)
}

// checkResource finds what would be lost in arithmetic, and what Mesos says
// of reservations and disks.
func checkResource(r *mesos.Resource) error {
	if r.Type == nil {
		return errors.New("type is missing: SCALAR, RANGES or SET")
	}
	switch *r.Type {
	case mesos.SCALAR:
		if v := r.GetScalar().GetValue(); !(v >= 0 && v <= float64(MaxAmount)/1000) {
			return fmt.Errorf("scalar %v is not between 0 and %v", v, MaxAmount)
		}
	case mesos.RANGES:
		for _, x := range r.GetRanges().GetRange() {
			if x.Begin > x.End {
				return fmt.Errorf("range %d-%d ends before it begins", x.Begin, x.End)
			}
		}
	case mesos.SET:
	default:
		return fmt.Errorf("type %v is none of SCALAR, RANGES, SET", *r.Type)
	}
	return r.Validate()
}

// checkList finds sums that are too large, and names of two kinds.
func checkList(list []mesos.Resource) error {
	sum := Sum(list)
	for i, q := range sum.items {
		if q.scalar > MaxAmount {
			return fmt.Errorf("resources: %s adds up to more than %v", q.name, MaxAmount)
		}
		if i > 0 && sum.items[i-1].name == q.name {
			return fmt.Errorf("resources: %s is given in two kinds: %s and %s", q.name, sum.items[i-1].value(), q.value())
		}
	}
	return nil
}

// FormatAgent writes what ParseAgent reads: text if it can say everything,
// else JSON.
func FormatAgent(list []mesos.Resource) string {
	parts := make([]string, 0, len(list))
	for i := range list {
		text, ok := textOf(&list[i])
		if !ok {
			return formatJSON(list)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ";")
}

// textOf is the resource as text. It says false for what the form cannot say.
func textOf(r *mesos.Resource) (string, bool) {
	q := quantityOf(r)
	if r.Disk != nil || r.Revocable != nil || r.Shared != nil || r.ProviderID != nil || r.AllocationInfo != nil ||
		reservationCount(r) > 1 || isDynamic(r) || q.empty() || !plainWord(q.name) ||
		slices.ContainsFunc(q.set, func(item string) bool { return !plainWord(item) }) {
		return "", false
	}
	if reservationCount(r) == 0 {
		return q.name + ":" + q.value(), true
	}
	top := reservationAt(r, 0)
	bare := mesos.Resource_ReservationInfo{Type: top.Type, Role: top.Role}
	if top.Principal != nil || top.Labels != nil || !plainWord(bare.GetRole()) {
		return "", false
	}
	return q.name + "(" + bare.GetRole() + "):" + q.value(), true
}

// plainWord says whether a word is read back as it is written.
func plainWord(word string) bool {
	return word != "" && word == strings.TrimSpace(word) && !strings.ContainsAny(word, ";:,()[]{}")
}

func formatJSON(list []mesos.Resource) string {
	text, err := json.Marshal(list)
	if err != nil { // of messages without a cycle there is none
		return fmt.Sprint(list)
	}
	return string(text)
}

// Limits are the most that a task may use beside what it is given (cpus and mem
// only; TaskInfo.limits, since Mesos 1.10). They must not be below the needs.
func (r Resources) Limits(needs Resources) (map[string]mesos.Value_Scalar, error) {
	limits := make(map[string]mesos.Value_Scalar, len(r.items))
	for _, q := range r.items {
		switch {
		case q.name != "cpus" && q.name != "mem" || q.kind != mesos.SCALAR:
			return nil, fmt.Errorf("limit %s:%s: Mesos limits only cpus and mem", q.name, q.value())
		case q.scalar < needs.Amount(q.name):
			return nil, fmt.Errorf("limit %s:%v is below the %v that the task needs", q.name, q.scalar, needs.Amount(q.name))
		}
		limits[q.name] = *q.scalar.Scalar()
	}
	return limits, nil
}
