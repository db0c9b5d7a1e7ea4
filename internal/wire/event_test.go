package wire_test

import (
	"fmt"
	"reflect"
	"runtime"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/internal/wire"
)

// offers returns an event as a large cluster gets it: 4 resources and 4
// attributes an offer.
func offers(n int) *sched.Event {
	ev := &sched.Event{Type: sched.Event_OFFERS, Offers: &sched.Event_Offers{}}
	role := "services"
	for i := range n {
		allocated := &mesos.Resource_AllocationInfo{Role: &role}
		o := mesos.Offer{
			ID:          mesos.OfferID{Value: fmt.Sprintf("84a5d3b1-5b0b-4f26-9ff8-7a8bb2b5a9a4-O%d", i)},
			FrameworkID: mesos.FrameworkID{Value: "84a5d3b1-5b0b-4f26-9ff8-7a8bb2b5a9a4-0000"},
			AgentID:     mesos.AgentID{Value: fmt.Sprintf("84a5d3b1-5b0b-4f26-9ff8-7a8bb2b5a9a4-S%d", i)},
			Hostname:    fmt.Sprintf("node-%d.example.com", i), AllocationInfo: allocated,
		}
		for _, name := range []string{"cpus", "mem", "disk"} {
			o.Resources = append(o.Resources, mesos.Resource{Name: name, Type: mesos.SCALAR.Enum(),
				Scalar: &mesos.Value_Scalar{Value: float64(i) + 0.5}, AllocationInfo: allocated})
		}
		o.Resources = append(o.Resources, mesos.Resource{Name: "ports", Type: mesos.RANGES.Enum(), AllocationInfo: allocated,
			Ranges: &mesos.Value_Ranges{Range: []mesos.Value_Range{{Begin: 31000, End: 31500}, {Begin: 31502, End: 32000}}}})
		for _, name := range []string{"rack", "zone", "os"} {
			o.Attributes = append(o.Attributes, mesos.Attribute{Name: name, Type: mesos.TEXT, Text: &mesos.Value_Text{Value: fmt.Sprint(name, i%16)}})
		}
		o.Attributes = append(o.Attributes, mesos.Attribute{Name: "level", Type: mesos.SCALAR, Scalar: &mesos.Value_Scalar{Value: 2}})
		ev.Offers.Offers = append(ev.Offers.Offers, o)
	}
	return ev
}

// rich returns offers with all that a master may say of them.
func rich() *sched.Event {
	ev := offers(3)
	o := &ev.Offers.Offers[1]
	role, principal, path, host, ip, volume := "db", "me", "/slave(1)", "h", "10.0.0.1", "data"
	o.URL = &mesos.URL{Scheme: "http", Path: &path, Address: mesos.Address{Hostname: &host, IP: &ip, Port: 5051}}
	o.Domain = &mesos.DomainInfo{FaultDomain: &mesos.DomainInfo_FaultDomain{
		Region: mesos.DomainInfo_FaultDomain_RegionInfo{Name: "eu"}, Zone: mesos.DomainInfo_FaultDomain_ZoneInfo{Name: "eu-1"}}}
	o.Resources[0].Role = &role
	o.Resources[1].Reservations = []mesos.Resource_ReservationInfo{{
		Type: mesos.Resource_ReservationInfo_DYNAMIC.Enum(), Role: &role, Principal: &principal,
		Labels: &mesos.Labels{Labels: []mesos.Label{{Key: "resource_id", Value: &principal}}},
	}}
	o.Resources[2].Disk = &mesos.Resource_DiskInfo{
		Persistence: &mesos.Resource_DiskInfo_Persistence{ID: "v1"},
		Volume:      &mesos.Volume{ContainerPath: volume, Mode: mesos.RW.Enum()},
	}
	o.Attributes = append(o.Attributes, mesos.Attribute{Name: "span", Type: mesos.RANGES, Ranges: &mesos.Value_Ranges{}})
	o.ExecutorIDs = []mesos.ExecutorID{{Value: "e1"}}
	ev.Offers.Offers[2].Unavailability = &mesos.Unavailability{Start: mesos.TimeInfo{Nanoseconds: 7}}
	ev.Offers.Offers[2].AllocationInfo = &mesos.Resource_AllocationInfo{}
	return ev
}

func marshal(t testing.TB, ev *sched.Event) []byte {
	frame, err := ev.Marshal()
	require.NoError(t, err)
	return frame
}

// check holds that an event is decoded as mesos-go does, and refused when
// mesos-go refuses it.
func check(t *testing.T, frame []byte) {
	var want, again sched.Event
	wantErr := want.Unmarshal(frame)
	_ = again.Unmarshal(frame) // as the first
	kept := append([]byte{}, frame...)
	got, err := wire.Event(frame)
	require.Equal(t, kept, frame, "the frame was changed")
	if wantErr != nil {
		require.ErrorContains(t, err, wantErr.Error())
		return
	}
	require.NoError(t, err)
	clear(frame) // the result must not hold on to it
	wantBack, wantErr := want.Marshal()
	gotBack, err := got.Marshal()
	require.Equal(t, wantErr, err)
	require.Equal(t, wantBack, gotBack)
	if reflect.DeepEqual(want, again) { // not so with NaN, which never equals itself
		require.Equal(t, &want, got)
	}
}

func TestEvent(t *testing.T) {
	t.Parallel()
	for name, ev := range map[string]*sched.Event{
		"no offers":   offers(0),
		"offers":      offers(300),
		"rich offers": rich(),
		"heartbeat":   {Type: sched.Event_HEARTBEAT},
		"update": {Type: sched.Event_UPDATE, Update: &sched.Event_Update{Status: mesos.TaskStatus{
			TaskID: mesos.TaskID{Value: "t"}, State: mesos.TASK_RUNNING.Enum(), UUID: []byte("u")}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := wire.Event(marshal(t, ev))
			require.NoError(t, err)
			var want sched.Event
			require.NoError(t, want.Unmarshal(marshal(t, ev)))
			assert.Equal(t, &want, got)
		})
	}
}

// TestEventIsTheSame cuts and changes an event at every byte.
func TestEventIsTheSame(t *testing.T) {
	t.Parallel()
	frame := marshal(t, rich())
	for i := range frame {
		check(t, append([]byte{}, frame[:i]...))
		for _, b := range []byte{0, 0x7f, 0x80, 0xff, frame[i] ^ 1, frame[i] ^ 8} {
			changed := append([]byte{}, frame...)
			changed[i] = b
			check(t, changed)
		}
	}
}

// TestOffersAreApart holds that adding to one offer does not change another,
// though they share slabs.
func TestOffersAreApart(t *testing.T) {
	t.Parallel()
	got, err := wire.Event(marshal(t, offers(2)))
	require.NoError(t, err)
	o := got.Offers.Offers
	before := o[1].Resources[0].Name
	o[0].Resources = append(o[0].Resources, mesos.Resource{Name: "other"})
	o[0].Resources[3].Ranges.Range = append(o[0].Resources[3].Ranges.Range, mesos.Value_Range{Begin: 1})
	assert.Equal(t, before, o[1].Resources[0].Name)
	assert.Equal(t, uint64(31000), o[1].Resources[3].Ranges.Range[0].Begin)
}

func FuzzEvent(f *testing.F) {
	for _, ev := range []*sched.Event{offers(1), offers(2), rich(), {Type: sched.Event_HEARTBEAT}} {
		f.Add(marshal(f, ev))
	}
	f.Fuzz(check)
}

// BenchmarkDecodeOffers compares with mesos-go's decoder in the same run.
func BenchmarkDecodeOffers(b *testing.B) {
	for _, n := range []int{10_000, 50_000} {
		frame := marshal(b, offers(n))
		for _, decoder := range []struct {
			name   string
			decode func([]byte) (*sched.Event, error)
		}{
			{"mesokit", wire.Event},
			{"mesos-go", func(frame []byte) (*sched.Event, error) {
				var ev sched.Event
				return &ev, ev.Unmarshal(frame)
			}},
		} {
			b.Run(fmt.Sprintf("%s/%d", decoder.name, n), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(frame)))
				for b.Loop() {
					ev, err := decoder.decode(frame)
					if err != nil || len(ev.Offers.Offers) != n {
						b.Fatal(err)
					}
					runtime.KeepAlive(ev)
				}
			})
		}
	}
}
