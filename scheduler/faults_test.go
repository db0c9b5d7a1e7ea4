package scheduler_test

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// Each fault that a scheduler has to live through, and where it is tested:
//
//	leader changes around an ACCEPT            TestClusterMasterDiesAroundAnAccept
//	leader changes in ZooKeeper, stream lives  TestRunFindsTheLeaderInZooKeeper
//	ZooKeeper away, session expired            the same; internal/detector TestFollowOutlives…
//	stream cut within a frame, and calls       TestClusterConnectionsAreCut, TestRunSubscribesAgain
//	heartbeats stop                            TestClusterHeartbeatsStop, TestRunSubscribesAgain
//	503 and 307 at every call                  TestRunBringsEveryCallToTheLeader
//	500, 400 and lost calls                    TestRunKeepsTheSubscriptionWhenACallFails
//	401, 403, 404, an old master               TestRunEndsWhenTheMasterRefuses, …IsTooOld
//	store full                                 TestRunEndsWhenTheStoreFails; scheduler/state TestFullDisk
//	killed before and after every save         TestClusterNothingIsLostAtAnySave
//	SIGKILL                                    examples/batch TestRunsAThousandThroughACrash
//	two schedulers at once                     TestClusterSecondScheduler, TestRunEndsWhenFailedOver
//	double, late and overtaken updates         TestClusterUpdatesComeTwiceAndLate, testdata/late.txt
//	unknown tasks                              TestClusterKillsWhatItDoesNotKnow, testdata/stray.txt
//	master restarts; agent gone and back       TestClusterMasterRestarts, …AgentGoesAndComesBack
//	framework removed                          TestRunRegistersAnewWhereAsked, testdata/removed.txt
//	clock stepped by an hour, either way       testdata/clock.txt, FuzzMachine
//	handler panics                             TestRunLeavesAPanicAlone
//	50,000 offers in one event                 internal/wire, TestRunTakesAllOffersInOneFrame
//	bad configuration, each field              TestRunRefusesAWrongConfiguration

// finishing runs a crew whose tasks end by themselves, and waits until all have,
// each once.
func finishing(t *testing.T, cluster *mesostest.Cluster, master string, places int) {
	t.Helper()
	crew := newCrew(t, places, "true")
	all := make(chan struct{})
	crew.ended = func() { close(all) }
	start(t, scheduler.Config{Master: master, Handler: crew})
	select {
	case <-all:
	case <-time.After(time.Minute):
		t.Fatalf("the tasks do not all finish:\n%s", cluster.Journal())
	}
	crew.checkRanOnce(t)
}

// TestClusterMasterDiesAroundAnAccept lets the leader change between an ACCEPT
// and what comes of it: before the master has acted on it, and before it has
// heard of the task.
func TestClusterMasterDiesAroundAnAccept(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, message string }{
		{"the call is lost", "ACCEPT"},
		{"the launch is lost", "RunTasks"},
		{"the update is lost", "StatusUpdate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cluster := newCluster(t, 2)
			met := make(chan struct{})
			var once sync.Once
			end := cluster.Intercept(func(m mesostest.Message) mesostest.Fate {
				if m.Name != c.message {
					return nil
				}
				once.Do(func() { close(met) })
				return mesostest.Drop{}
			})
			var restarting sync.WaitGroup
			defer restarting.Wait()
			restarting.Go(func() {
				<-met
				err := cluster.RestartMaster()
				end()
				assert.NoError(t, err)
			})
			finishing(t, cluster, cluster.Master(), 3)
		})
	}
}

// TestClusterUpdatesComeTwiceAndLate doubles every status on its way, and lets
// every third be overtaken by the one behind it.
func TestClusterUpdatesComeTwiceAndLate(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t, 2)
	var n atomic.Int64
	cluster.Intercept(func(m mesostest.Message) mesostest.Fate {
		if m.Name != "UPDATE" && m.Name != "StatusUpdate" {
			return nil
		}
		if n.Add(1)%3 == 0 {
			return mesostest.Delay{By: 50 * time.Millisecond}
		}
		return mesostest.Double{}
	})
	finishing(t, cluster, cluster.Master(), 8)
	assert.Greater(t, n.Load(), int64(16))
}

// TestClusterHeartbeatsStop freezes the master: its connections stay and nothing
// comes of them.
func TestClusterHeartbeatsStop(t *testing.T) {
	t.Parallel()
	cluster := mesostest.New(t, mesostest.Agents(1, "cpus:4;mem:2048"), mesostest.Configure(func(c *mesostest.Config) {
		c.Heartbeat = 200 * time.Millisecond
	}))
	events := make(chan scheduler.Event, 1024)
	crew := newCrew(t, 2, "sleep 600")
	start(t, scheduler.Config{Master: cluster.Master(), Handler: crew, Observe: func(ev scheduler.Event, _ scheduler.Effects) {
		events <- ev
	}})
	cluster.WaitRunning(t, 2)
	master := cluster.Masters()[0]
	master.Pause()
	defer master.Resume()
	waitFor(t, events, func(ev scheduler.Event) bool { _, ok := ev.(scheduler.Disconnected); return ok })
	master.Resume()
	waitFor(t, events, func(ev scheduler.Event) bool { _, ok := ev.(scheduler.Subscribed); return ok })
	cluster.WaitRunning(t, 2)
	crew.checkRanOnce(t)
}

// TestClusterConnectionsAreCut ends connections in a header, in a frame, and in
// the answers to calls.
func TestClusterConnectionsAreCut(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t, 2)
	finishing(t, cluster, newScissors(t, cluster.Master()), 4)
}

// newScissors returns the address of a line to another whose connections are cut
// after so many bytes of the answer, one after the other, until none is left to
// be cut. The first are few, since the scheduler waits longer each time.
func newScissors(t *testing.T, to string) string {
	lengths := []int64{60, 250, 500, 1200, 2500}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var copying sync.WaitGroup
	copying.Go(func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			hangUp := func() { _, _ = in.Close(), out.Close() }
			answers := io.Reader(out)
			if len(lengths) > 0 {
				answers, lengths = io.LimitReader(out, lengths[0]), lengths[1:]
			}
			copying.Go(func() { defer hangUp(); _, _ = io.Copy(in, answers) })
			copying.Go(func() { defer hangUp(); _, _ = io.Copy(out, in) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		copying.Wait() // the scheduler, which ends before, closes its connections
	})
	return listener.Addr().String()
}
