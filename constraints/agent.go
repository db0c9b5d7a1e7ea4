package constraints

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// Agent is what a rule sees of an agent.
type Agent struct {
	Hostname string
	// Attributes in the order in which the agent sent them: where a name
	// occurs twice, the dialect says which of them counts.
	Attributes []mesos.Attribute
	// Region and Zone are the agent's fault domain; empty if it has none.
	Region, Zone string
}

// AgentOf collects the parts of an offer (or of an agent's description) that
// rules look at. The domain may be nil.
func AgentOf(hostname string, attributes []mesos.Attribute, domain *mesos.DomainInfo) Agent {
	a := Agent{Hostname: hostname, Attributes: attributes}
	if d := domain.GetFaultDomain(); d != nil {
		a.Region, a.Zone = d.Region.Name, d.Zone.Name
	}
	return a
}

// value is what an agent has for a field. The zero value says that the agent
// lacks it.
type value struct {
	present bool
	// text is the value as its dialect renders it. Where a dialect looks at
	// several attributes at once, it is parts, joined.
	text  string
	parts []string
}

func textValue(s string) value { return value{present: true, text: s} }

func partsValue(parts []string) value {
	switch len(parts) {
	case 0:
		return value{}
	case 1:
		return value{present: true, text: parts[0], parts: parts}
	}
	return value{present: true, text: strings.Join(parts, "\x00"), parts: parts}
}

// source says where a rule reads its value from an agent, and how.
type source uint8

const (
	fromHostname source = iota
	fromRegion
	fromZone
	// fromFirst reads the first attribute of the name, as Marathon renders it.
	fromFirst
	// fromLastText reads the last text attribute of the name (mesos/kafka).
	fromLastText
	// fromFolded reads the first attribute whose name is equal under case
	// folding, as dcos-commons renders it (its GROUP_BY).
	fromFolded
	// fromEach reads all attributes with the name (or, in dcos-commons, all that
	// the name matches when it is read as a regular expression) as "name:value".
	fromEach
	// fromAll reads every attribute as "name:value" (dcos-commons).
	fromAll
)

// reading is a source together with the attribute's name.
// Rules with equal readings see equal values.
type reading struct {
	source source
	name   string // empty unless the source needs it
}

// of returns what the agent has.
func (r reading) of(a *Agent) value {
	switch r.source {
	case fromHostname:
		return textValue(a.Hostname)
	case fromRegion:
		return domainValue(a.Region)
	case fromZone:
		return domainValue(a.Zone)
	case fromFirst:
		for i := range a.Attributes {
			if a.Attributes[i].Name == r.name {
				return textValue(renderSorted(&a.Attributes[i]))
			}
		}
	case fromLastText:
		for i := len(a.Attributes) - 1; i >= 0; i-- {
			if t := &a.Attributes[i]; t.Name == r.name && t.Type == mesos.TEXT {
				return textValue(t.GetText().GetValue())
			}
		}
	case fromFolded:
		for i := range a.Attributes {
			if strings.EqualFold(a.Attributes[i].Name, r.name) {
				return textValue(renderPlain(&a.Attributes[i]))
			}
		}
	case fromEach:
		return r.each(a)
	case fromAll:
		parts := make([]string, len(a.Attributes))
		for i := range a.Attributes {
			parts[i] = a.Attributes[i].Name + ":" + renderPlain(&a.Attributes[i])
		}
		return partsValue(parts)
	}
	return value{}
}

func domainValue(s string) value {
	if s == "" {
		return value{}
	}
	return textValue(s)
}

// each collects the distinct "name:value" texts that the name selects.
func (r reading) each(a *Agent) value {
	var parts []string
	match := matchAttribute(r.name, ".*")
	for i := range a.Attributes {
		s := a.Attributes[i].Name + ":" + renderPlain(&a.Attributes[i])
		if match(s) && !slices.Contains(parts, s) {
			parts = append(parts, s)
		}
	}
	return partsValue(parts)
}

// renderSorted is Marathon's rendering: scalars as 0.###, ranges by their
// begin, sets in order.
func renderSorted(a *mesos.Attribute) string {
	switch a.Type {
	case mesos.SCALAR:
		return trimmedDecimal(a.GetScalar().GetValue())
	case mesos.RANGES:
		ranges := slices.Clone(a.GetRanges().GetRange())
		slices.SortStableFunc(ranges, func(x, y mesos.Value_Range) int { return cmp.Compare(x.Begin, y.Begin) })
		return renderRanges(ranges)
	case mesos.SET:
		return "{" + strings.Join(slices.Sorted(slices.Values(a.GetSet().GetItem())), ",") + "}"
	default:
		return a.GetText().GetValue()
	}
}

// renderPlain is the rendering of dcos-commons: three decimals always, ranges
// and sets in the order of the offer.
func renderPlain(a *mesos.Attribute) string {
	switch a.Type {
	case mesos.SCALAR:
		return fixedDecimal(a.GetScalar().GetValue())
	case mesos.RANGES:
		return renderRanges(a.GetRanges().GetRange())
	case mesos.SET:
		return "{" + strings.Join(a.GetSet().GetItem(), ",") + "}"
	default:
		return a.GetText().GetValue()
	}
}

func renderRanges(ranges []mesos.Value_Range) string {
	b := []byte{'['}
	for i, r := range ranges {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, r.Begin, 10)
		b = append(b, '-')
		b = strconv.AppendUint(b, r.End, 10)
	}
	return string(append(b, ']'))
}

// trimmedDecimal renders x as Java's DecimalFormat("0.###") does: rounded to
// three decimals, half to even on the exact binary value, without trailing
// zeros.
func trimmedDecimal(x float64) string {
	if math.Abs(x) >= 1<<53 {
		return strconv.FormatFloat(x, 'f', -1, 64) // Java shows the shortest digits and then zeros
	}
	s := strconv.FormatFloat(x, 'f', 3, 64)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// fixedDecimal renders x as Java's "%.3f" does: the shortest decimal digits of
// x, rounded half up to three decimals.
func fixedDecimal(x float64) string {
	s := strconv.FormatFloat(x, 'f', -1, 64)
	whole, frac, _ := strings.Cut(s, ".")
	if len(frac) <= 3 {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return s
		}
		return whole + "." + frac + "000"[len(frac):]
	}
	digits := []byte(whole + frac[:3])
	if frac[3] >= '5' {
		digits = increment(digits)
	}
	dot := len(digits) - 3
	return string(digits[:dot]) + "." + string(digits[dot:])
}

// increment adds one to the magnitude of a decimal number, which may have a
// leading sign.
func increment(digits []byte) []byte {
	for i := len(digits) - 1; i >= 0 && digits[i] != '-'; i-- {
		if digits[i] < '9' {
			digits[i]++
			return digits
		}
		digits[i] = '0'
	}
	first := 0
	if digits[0] == '-' {
		first = 1
	}
	return slices.Insert(digits, first, '1')
}
