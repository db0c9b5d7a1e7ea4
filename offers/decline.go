package offers

import (
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// Declined are offers to give back, and why.
type Declined struct {
	Offers []mesos.OfferID
	Why    Why
}

// declined is nothing where there is nothing to decline.
func declined(ids []mesos.OfferID, why Why) []Declined {
	if len(ids) == 0 {
		return nil
	}
	return []Declined{{Offers: ids, Why: why}}
}

// Why is the reason for declining offers.
type Why int8

// The reasons, and for how long each refuses (Why.Refuse).
const (
	Idle    Why = iota // nothing is wanted: 1 hour; reviving ends it earlier
	Unfit              // something is wanted, but it does not fit: 2 minutes
	Surplus            // there was no room to hold more: 5 seconds
	Expired            // held for long enough, others shall have them: 5 seconds
	Unready            // what is wanted fits, but it is too early: 1 second
)

var whys = [...]struct {
	text   string
	refuse time.Duration
}{
	Idle:    {"nothing is wanted", time.Hour},
	Unfit:   {"nothing that is wanted fits", 2 * time.Minute},
	Surplus: {"more offers than can be held", 5 * time.Second},
	Expired: {"held for as long as is fair", 5 * time.Second},
	Unready: {"too early", time.Second},
}

// Refuse is for how long the master shall not offer the same again, or less of
// the same. More than that it offers at once: its filter holds for what is
// contained in what was declined. A revive clears all filters.
func (w Why) Refuse() time.Duration { return whys[w.known()].refuse }

// String is the reason in words.
func (w Why) String() string { return whys[w.known()].text }

// known is w, or Unready, which refuses for the shortest time, for a number
// that is no reason.
func (w Why) known() Why {
	if w < 0 || int(w) >= len(whys) {
		return Unready
	}
	return w
}
