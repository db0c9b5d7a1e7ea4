package model

import (
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

func named(id string, op mesos.Offer_Operation) mesos.Offer_Operation {
	if id != "" {
		op.ID = &mesos.OperationID{Value: id}
	}
	return op
}

func growOp(id string, volume, addition mesos.Resource) mesos.Offer_Operation {
	return named(id, mesos.Offer_Operation{Type: mesos.Offer_Operation_GROW_VOLUME,
		GrowVolume: &mesos.Offer_Operation_GrowVolume{Volume: volume, Addition: addition}})
}

func shrinkOp(id string, volume mesos.Resource, by float64) mesos.Offer_Operation {
	return named(id, mesos.Offer_Operation{Type: mesos.Offer_Operation_SHRINK_VOLUME,
		ShrinkVolume: &mesos.Offer_Operation_ShrinkVolume{Volume: volume, Subtract: mesos.Value_Scalar{Value: by}}})
}

func sized(r mesos.Resource, v float64) mesos.Resource {
	r.Scalar = &mesos.Value_Scalar{Value: v}
	return r
}

// withVolume is a world in which a framework has a volume of 64 MB and as much
// reserved disk beside it.
func withVolume(t *testing.T) (w *world, c *client, volume, disk mesos.Resource) {
	w = newWorld(t, 1)
	c = w.subscribe("db")
	o := c.offers()[0]
	held := reservedFor("db", "r", scalarOf("disk", 128))
	disk = sized(held[0], 64)
	volume = volumeOf(disk, "v")
	c.accept(o, 0,
		mesos.Offer_Operation{Type: mesos.Offer_Operation_RESERVE, Reserve: &mesos.Offer_Operation_Reserve{Resources: held}},
		mesos.Offer_Operation{Type: mesos.Offer_Operation_CREATE, Create: &mesos.Offer_Operation_Create{Volumes: []mesos.Resource{volume}}})
	w.settle()
	w.sleep(2 * time.Second)
	return w, c, volume, disk
}

// disks are the amounts of disk that are offered.
func (c *client) disks() string {
	c.w.sleep(2 * time.Second)
	var out []string
	for _, o := range c.offers() {
		rs, err := NewResources(o.Resources)
		if err != nil {
			c.w.t.Fatal(err)
		}
		for _, r := range rs {
			if r.meta.Name == "disk" && r.reservedFor() != "" {
				kind := "disk"
				if r.volume() {
					kind = "volume"
				}
				out = append(out, kind+":"+strings.TrimPrefix(r.String()[strings.LastIndex(r.String(), ":"):], ":"))
			}
		}
	}
	return strings.Join(out, " ")
}

func TestVolumesAreResized(t *testing.T) {
	t.Parallel()
	w, c, volume, disk := withVolume(t)
	o := c.offers()[0]
	grown := sized(volume, 96)
	c.accept(o, 0, growOp("g", volume, sized(disk, 32)),
		// What was resized is not there for the same call.
		shrinkOp("s", grown, 8))
	w.settle()
	var got []string
	for e := c.take(scheduler.Event_UPDATE_OPERATION_STATUS); e != nil; e = c.take(scheduler.Event_UPDATE_OPERATION_STATUS) {
		s := e.UpdateOperationStatus.Status
		got = append(got, s.OperationID.Value+" "+s.State.String())
		if s.State == mesos.OPERATION_ERROR && !strings.HasPrefix(s.GetMessage(), "Invalid SHRINK_VOLUME operation: ") {
			t.Errorf("message %q", s.GetMessage())
		}
	}
	want(t, "outcomes", strings.Join(got, ", "), "s OPERATION_ERROR, g OPERATION_FINISHED")
	want(t, "the volume is there", w.agents[0].volumes["v"], true)
	w.sleep(2 * time.Second)
	o = c.offers()[0]
	c.accept(o, 0, shrinkOp("", grown, 80))
	w.settle()
	want(t, "offered", c.disks(), "disk:112 volume:16")
	want(t, "the volume is there", w.agents[0].volumes["v"], true)

	// The operator does the same; what was offered is taken back.
	bare := sized(volume, 16)
	bare.AllocationInfo = nil
	more := sized(disk, 112)
	more.AllocationInfo = nil
	w.operate(ChangeResources{AgentID: "M0-S0", Operation: growOp("", bare, more)}, 202, "")
	want(t, "offered after the operator", c.disks(), "volume:128")
	w.operate(ChangeResources{AgentID: "M0-S0", Operation: shrinkOp("", sized(bare, 128), 1)}, 202, "")
	want(t, "offered after the operator", c.disks(), "volume:127 disk:1")
	r := w.step(Operate{ChangeResources{AgentID: "M0-S0", Operation: shrinkOp("", sized(bare, 500), 1)}})
	want(t, "status of what is not there", r.Status, 409)
	if !strings.Contains(r.Text, "does not contain") {
		t.Errorf("text %q", r.Text)
	}
}

func TestResizeErrors(t *testing.T) {
	t.Parallel()
	disk := reservedFor("db", "r", scalarOf("disk", 64))[0]
	disk.AllocationInfo = nil
	volume := volumeOf(disk, "v")
	shared, mount, plain := volume, volume, disk
	shared.Shared = &mesos.Resource_SharedInfo{}
	info := *volume.Disk
	info.Source = &mesos.Resource_DiskInfo_Source{Type: mesos.Resource_DiskInfo_Source_MOUNT,
		Mount: &mesos.Resource_DiskInfo_Source_Mount{Root: new("/mnt")}}
	mount.Disk = &info
	const agent = "Invalid %s operation on agent M0-S0 at slave(1)@127.0.0.1:5051 (host0): "
	grow, shrink := strings.ReplaceAll(agent, "%s", "GROW_VOLUME"), strings.ReplaceAll(agent, "%s", "SHRINK_VOLUME")
	for _, tc := range []struct {
		name string
		op   mesos.Offer_Operation
		want string // beginning
	}{
		{"grow by nothing", growOp("", volume, sized(disk, 0)), grow + "The size of 'GrowVolume.addition' field must be greater than zero"},
		{"grow by less than nothing", growOp("", volume, sized(disk, -1)), "Resource 'disk(reservations: [(DYNAMIC,db,{resource_id: r})]):-1' is invalid: Invalid scalar resource: value <= 0"},
		{"grow what is no volume", growOp("", plain, disk), grow + "Invalid persistent volume in the 'GrowVolume.volume' field: Resource disk"},
		{"grow what is shared", growOp("", shared, disk), grow + "Growing a shared persistent volume is not supported"},
		{"grow by memory", growOp("", volume, scalarOf("mem", 1)), grow + "Incompatible resources in the 'GrowVolume.volume' and 'GrowVolume.addition' fields"},
		{"grow by unreserved disk", growOp("", volume, scalarOf("disk", 1)), grow + "Incompatible resources"},
		{"grow a mount", growOp("", mount, sized(disk, 1)), grow + "Incompatible resources"},
		{"grow nothing", mesos.Offer_Operation{Type: mesos.Offer_Operation_GROW_VOLUME}, "A GROW_VOLUME operation must have"},
		{"shrink by nothing", shrinkOp("", volume, 0), shrink + "Value of 'ShrinkVolume.subtract' must be greater than zero"},
		{"shrink by less than nothing", shrinkOp("", volume, -5), shrink + "Value of 'ShrinkVolume.subtract' must be greater than zero"},
		{"shrink by all", shrinkOp("", volume, 64), shrink + "Value of 'ShrinkVolume.subtract' must be smaller than the size of 'ShrinkVolume.volume'"},
		{"shrink by more than there can be", shrinkOp("", volume, 1e300), shrink + "Value of 'ShrinkVolume.subtract' must be smaller"},
		{"shrink a mount", shrinkOp("", mount, 1), shrink + "Shrinking a volume on a MOUNT disk is not supported"},
		{"shrink what is no volume", shrinkOp("", plain, 1), shrink + "Invalid persistent volume in the 'ShrinkVolume.volume' field: Resource disk"},
		{"shrink what is shared", shrinkOp("", shared, 1), shrink + "Shrinking a shared persistent volume is not supported"},
		{"shrink nothing", mesos.Offer_Operation{Type: mesos.Offer_Operation_SHRINK_VOLUME}, "A SHRINK_VOLUME offer operation must have"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			r := w.step(Operate{ChangeResources{AgentID: "M0-S0", Operation: tc.op}})
			want(t, "status", r.Status, 400)
			if !strings.HasPrefix(r.Text, tc.want) {
				t.Errorf("got %q, want it to begin with %q", r.Text, tc.want)
			}
		})
	}
}
