package offers

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// Amount is a scalar in thousandths: 1500 is 1.5 cpus, or 1.5 MiB of memory.
// Mesos computes with scalars in just this way (src/common/values.cpp), so
// sums and comparisons agree with the master's to the last digit.
type Amount int64

// MaxAmount bounds what is read: 10¹² units. Sums of thousands of amounts stay
// far from overflow, and a float64 holds every thousandth up to there exactly.
const MaxAmount Amount = 1e15

// AmountOf rounds v to three decimals, halves away from zero, as Mesos does.
// What is not a number is nothing, and what is beyond MaxAmount is MaxAmount.
func AmountOf(v float64) Amount {
	switch limit := float64(MaxAmount) / 1000; {
	case math.IsNaN(v):
		return 0
	case v >= limit:
		return MaxAmount
	case v <= -limit:
		return -MaxAmount
	}
	v *= 1000
	if math.Abs(v) < 0.5 { // or 0.49999999999999994 + 0.5 would be 1
		return 0
	}
	return Amount(v + math.Copysign(0.5, v))
}

// ParseAmount reads a number such as "0.1", "32" or "1e3".
func ParseAmount(text string) (Amount, error) {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) || strings.ContainsAny(text, "xX_") {
		return 0, fmt.Errorf("%q is not a number such as 0.1 or 32", text)
	}
	switch a := AmountOf(v); {
	case v < 0:
		return 0, fmt.Errorf("%q is below zero", text)
	case v > float64(MaxAmount)/1000:
		return 0, fmt.Errorf("%q is above %v", text, MaxAmount)
	case a == 0 && v > 0:
		return 0, fmt.Errorf("%q is below 0.001: Mesos keeps three decimals", text)
	default:
		return a, nil
	}
}

// Value is the amount in units, as Mesos's messages carry it.
func (a Amount) Value() float64 {
	return float64(a/1000) + float64(a%1000)/1000
}

// Scalar is the amount as a message of Mesos.
func (a Amount) Scalar() *mesos.Value_Scalar {
	return &mesos.Value_Scalar{Value: a.Value()}
}

// String is the shortest form, "0.1" or "32"; ParseAmount reads it back.
func (a Amount) String() string {
	sign := ""
	whole, rest := a/1000, a%1000
	if a < 0 {
		sign, whole, rest = "-", -whole, -rest
	}
	text := sign + strconv.FormatInt(int64(whole), 10)
	if rest == 0 {
		return text
	}
	return text + "." + strings.TrimRight(fmt.Sprintf("%03d", int64(rest)), "0")
}

// MarshalJSON writes a number in units.
func (a Amount) MarshalJSON() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalJSON reads a number in units.
func (a *Amount) UnmarshalJSON(text []byte) error {
	read, err := ParseAmount(string(text))
	if err != nil {
		return fmt.Errorf("amount: %w", err)
	}
	*a = read
	return nil
}
