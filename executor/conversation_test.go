package executor

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// talk is a scheduler and an executor with a network between them that loses,
// doubles and reorders what they say.
type talk struct {
	*world
	r         *rand.Rand
	scheduler Conversation
	down, up  []Message // on their way to the executor, and to the scheduler
	faulty    bool
	asked     int
	working   []Request      // what the executor is carrying out
	carried   map[string]int // how often the executor has carried a request out
	answers   map[string]int // how often its end was told
	wake      time.Time      // of the scheduler
}

func newTalk(t *testing.T, seed uint64) *talk {
	k := &talk{
		world: newWorld(t, testEnvironment()), r: rand.New(rand.NewPCG(seed, 7)), faulty: true,
		scheduler: Conversation{Task: "t", Granting: true}, carried: map[string]int{}, answers: map[string]int{},
	}
	k.world.up()
	k.world.step(launched{[]mesos.TaskInfo{goodTask("t")}})
	return k
}

// isLarge tells of requests whose answers are not remembered.
func isLarge(r Request) bool { return strings.HasSuffix(r.ID, "large") }

func answerOf(r Request) []byte {
	if isLarge(r) {
		return []byte(strings.Repeat("large", partSize/4))
	}
	return []byte("answer to " + r.ID)
}

// send puts a message on its way, perhaps not at all or twice.
func (k *talk) send(way *[]Message, m Message) {
	copies := 1
	if k.faulty {
		copies = k.r.IntN(3)
	}
	for range copies {
		*way = append(*way, m)
	}
}

// arrive takes a message from a way, any of them while there are faults.
func (k *talk) arrive(way *[]Message) Message {
	i := 0
	if k.faulty {
		i = k.r.IntN(len(*way))
	}
	m := (*way)[i]
	*way = slices.Delete(*way, i, i+1)
	return m
}

func (k *talk) step(heard ...Message) {
	if k.r.IntN(10) == 0 { // it starts again from what it has stored
		data, err := json.Marshal(k.scheduler)
		require.NoError(k.t, err)
		k.scheduler = Conversation{}
		require.NoError(k.t, json.Unmarshal(data, &k.scheduler))
	}
	turn := k.scheduler.Step(k.now, func(name string) ([]byte, bool) { return []byte("value of " + name), name != "unknown" }, heard...)
	for _, m := range turn.Say {
		k.send(&k.down, m)
	}
	for _, a := range turn.Answers {
		k.answers[a.Request.ID]++
		require.Equal(k.t, 1, k.answers[a.Request.ID], "one end of each request")
		if a.Err != nil {
			require.ErrorIs(k.t, a.Err, ErrNoAnswer)
			require.True(k.t, k.faulty, "%s: nothing is lost any more", a.Request.ID)
			continue
		}
		require.Equal(k.t, string(answerOf(a.Request)), string(a.Body))
		require.Positive(k.t, k.carried[a.Request.ID])
	}
	require.True(k.t, turn.Wake.IsZero() || turn.Wake.After(k.now))
	require.Equal(k.t, turn.Wake.IsZero(), len(k.scheduler.Asked) == 0)
	k.wake = turn.Wake
}

// executor has the executor take an event and sends what it says.
func (k *talk) executor(ev event) {
	eff := k.core.step(k.now, ev)
	k.working = append(k.working, eff.requests...)
	for _, call := range eff.send {
		if call.Message != nil {
			m, err := DecodeMessage(call.Message.Data)
			require.NoError(k.t, err)
			k.send(&k.up, m)
		}
	}
}

func (k *talk) answer() {
	i := k.r.IntN(len(k.working))
	r := k.working[i]
	k.working = slices.Delete(k.working, i, i+1)
	k.carried[r.ID]++
	require.True(k.t, k.carried[r.ID] == 1 || isLarge(r), "%s is carried out again", r.ID)
	k.executor(answered{request: r, body: answerOf(r)})
}

func (k *talk) random() {
	switch choice := k.r.IntN(6); {
	case choice == 0 && k.asked < 50: // an executor remembers 64 answers
		k.asked++
		r := Request{ID: fmt.Sprint("r", k.asked), Name: "work"}
		if k.asked == 7 && k.r.IntN(4) == 0 {
			r.ID += "-large"
		}
		k.scheduler.Ask(k.now, r, 0)
		k.scheduler.Ask(k.now, r, time.Second) // a handler that looks twice
		k.step()
	case choice == 1:
		k.now = k.now.Add(time.Duration(k.r.Int64N(int64(5 * time.Second))))
		k.step()
	case choice == 2 && len(k.down) > 0:
		k.executor(heard{k.arrive(&k.down)})
	case choice == 3 && len(k.up) > 0:
		k.step(k.arrive(&k.up))
	case choice == 4 && len(k.working) > 0:
		k.answer()
	}
}

// Whatever the network does to messages: a request is carried out once, unless its
// answer is too large to be remembered, and its end is told once, with the right
// answer. As soon as nothing is lost any more, all are answered.
func TestConversationOverABadNetwork(t *testing.T) {
	t.Parallel()
	answered := 0
	for seed := range uint64(25) {
		k := newTalk(t, seed)
		for range 300 {
			k.random()
		}
		k.faulty = false
		for i := range k.scheduler.Asked { // that are not just being given up
			k.scheduler.Asked[i].Until = k.now.Add(time.Hour)
		}
		for turns := 0; len(k.scheduler.Asked) > 0; turns++ {
			require.Less(t, turns, 10000, "never answered: %v", k.scheduler.Asked)
			switch {
			case len(k.down) > 0:
				k.executor(heard{k.arrive(&k.down)})
			case len(k.up) > 0:
				k.step(k.arrive(&k.up))
			case len(k.working) > 0:
				k.answer()
			default:
				k.now = k.wake
				k.step()
			}
		}
		require.Len(t, k.answers, k.asked)
		answered += k.asked
	}
	assert.Greater(t, answered, 300)
}

func TestRequestIsRepeatedAndGivenUp(t *testing.T) {
	t.Parallel()
	begin := time.Unix(1000, 0)
	now := begin
	c := Conversation{Task: "t"}
	c.Ask(now, Request{ID: "1", Name: "drain", Within: 20 * time.Second}, 0)
	var sent []time.Duration
	for {
		turn := c.Step(now, nil)
		for _, m := range turn.Say {
			require.Equal(t, Request{ID: "1", Task: "t", Name: "drain", Within: 20 * time.Second}, m)
			sent = append(sent, now.Sub(begin))
		}
		if len(turn.Answers) > 0 {
			require.ErrorIs(t, turn.Answers[0].Err, ErrNoAnswer)
			assert.EqualError(t, turn.Answers[0].Err, "request 1, drain: no answer from the executor")
			assert.True(t, turn.Wake.IsZero())
			break
		}
		now = turn.Wake
	}
	assert.Equal(t, 100*time.Second, now.Sub(begin), "a minute and twice the time that it may take")
	assert.Equal(t, []time.Duration{0, 1 * time.Second, 3 * time.Second, 7 * time.Second, 15 * time.Second, 30 * time.Second, 45 * time.Second, 60 * time.Second, 75 * time.Second, 90 * time.Second}, sent)
}

func TestConversationAnswersItsOwnTask(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	secret := func(name string) ([]byte, bool) { return []byte("s"), name == "key" }
	tests := []struct {
		name     string
		granting bool
		heard    Message
		want     []Message
	}{
		{"secrets", false, Hello{Task: "t", Secrets: []string{"key", "other"}}, []Message{Secret{Task: "t", Name: "key", Value: []byte("s")}}},
		{"secrets of another task", false, Hello{Task: "u", Secrets: []string{"key"}}, nil},
		{"lease", true, Renew{"t", 7}, []Message{Grant{"t", 7}}},
		{"lease of another task", true, Renew{"u", 7}, nil},
		{"lease that is no longer granted", false, Renew{"t", 7}, nil},
		{"answer to nothing", true, Response{ID: "9", Task: "t", Parts: 1}, nil},
		{"what a scheduler says itself", true, Grant{"t", 1}, nil},
	}
	for _, tt := range tests {
		c := Conversation{Task: "t", Granting: tt.granting}
		turn := c.Step(now, secret, tt.heard)
		assert.Equal(t, tt.want, turn.Say, tt.name)
		assert.Empty(t, turn.Answers, tt.name)
		assert.Equal(t, tt.granting && tt.want != nil, c.Granted.Equal(now), tt.name)
	}
	c := Conversation{Task: "t"}
	assert.Empty(t, c.Step(now, nil, Hello{Task: "t", Secrets: []string{"key"}}).Say)
	assert.Equal(t, &Usage{Task: "t", Memory: 1}, c.Step(now, nil, Usage{Task: "t", Memory: 1}).Usage)
	assert.Nil(t, c.Step(now, nil, Usage{Task: "u"}).Usage)
}

// What the executor refuses, and an answer that is none, end a request as well.
func TestRefusedRequest(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	c := Conversation{Task: "t"}
	c.Ask(now, Request{ID: "1", Name: "a"}, time.Minute)
	c.Ask(now, Request{ID: "2", Name: "b"}, time.Minute)
	turn := c.Step(now, nil, Response{ID: "2", Task: "t", Parts: 0}, Response{ID: "1", Task: "t", Parts: 1, Error: "no luck"})
	require.Len(t, turn.Answers, 2)
	assert.EqualError(t, turn.Answers[0].Err, "no luck")
	assert.ErrorContains(t, turn.Answers[1].Err, "part 0 of 0")
	assert.Empty(t, turn.Say)
	assert.Empty(t, c.Asked)
}

// A handler that keeps the state before a decision beside the one after it has two
// conversations, of which neither changes the other.
func TestCopyOfAConversation(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	parts := respond(Request{ID: "1", Task: "t"}, []byte(strings.Repeat("x", 2*partSize)), nil)
	c := Conversation{Task: "t"}
	for id := range 3 { // leaves room in the slice
		c.Ask(now, Request{ID: fmt.Sprint(id)}, time.Minute)
	}
	c.Step(now, nil, parts[0])
	before := c
	c.Ask(now, Request{ID: "mine"}, time.Minute)
	before.Ask(now, Request{ID: "yours"}, time.Minute)
	assert.Equal(t, "mine", c.Asked[3].Request.ID)
	assert.Len(t, c.Step(now, nil, parts[1]).Answers, 1)
	assert.Empty(t, before.Step(now, nil).Answers, "the second part was not told to this one")
	assert.Len(t, before.Step(now, nil, parts[1]).Answers, 1)
}

// When the clock of the scheduler is set back, a request does not wait for the time
// at which it was to be sent again.
func TestConversationWhenTheClockIsSetBack(t *testing.T) {
	t.Parallel()
	now := time.Unix(100_000, 0)
	c := Conversation{Task: "t"}
	c.Ask(now, Request{ID: "1"}, 0)
	require.Len(t, c.Step(now, nil).Say, 1)
	now = now.Add(-time.Hour)
	turn := c.Step(now, nil)
	require.Len(t, turn.Say, 1)
	assert.LessOrEqual(t, turn.Wake.Sub(now), maxPause)
	assert.Empty(t, c.Step(now, nil).Say)
}
