package scheduler

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"sync"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosmaster "github.com/mesos/mesos-go/api/v1/lib/master"

	"github.com/mesokit/mesokit/offers"
)

// Quota is what an operator has set for a role, by resource. What is not there is
// not bounded.
type Quota struct {
	Guarantees map[string]offers.Amount // held back from others for the role
	Limits     map[string]offers.Amount // the role gets no more; since Mesos 1.9
}

// ReadQuota asks the leading master for the quota of all roles for which there is
// one. Mesos has it for roles at the top only, where it bounds all that are below.
// Master, TLS, Credential and Authorize of the configuration say how to ask.
//
// A handler has use for it where it waits for offers that do not come: it calls
// this in a Job. The error wraps ErrRefused where the operator does not allow it.
func ReadQuota(ctx context.Context, c Config) (map[string]Quota, error) {
	masters, err := parseMasters(c.Master, c.scheme())
	if err != nil {
		return nil, fmt.Errorf("scheduler: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var following sync.WaitGroup
	defer following.Wait()
	defer cancel()
	following.Go(func() { masters.follow(ctx, slog.New(slog.DiscardHandler)) })
	t := newTransport(c)
	defer t.client.CloseIdleConnections()
	text, err := t.ask(ctx, masters, &mesosmaster.Call{Type: mesosmaster.Call_GET_QUOTA})
	if err != nil {
		return nil, fmt.Errorf("scheduler: read quota: %w", err)
	}
	var answer mesosmaster.Response
	if err := answer.Unmarshal(text); err != nil {
		return nil, fmt.Errorf("scheduler: read quota: %w", err)
	}
	return quotaOf(&answer), nil
}

// ask brings a call of the operator API to the leader, and returns its answer.
func (t *transport) ask(ctx context.Context, masters masters, call *mesosmaster.Call) ([]byte, error) {
	body, err := call.Marshal()
	if err != nil {
		return nil, err
	}
	wait := firstBackoff
	for try := 1; ; try++ {
		u, err := masters.next(ctx)
		if err != nil {
			return nil, err
		}
		operator := *u
		operator.Path = "/api/v1"
		reply, err := t.postBody(ctx, &operator, "", call.Type.String(), body)
		if err == nil {
			defer reply.body.Close()
			return io.ReadAll(reply.body)
		}
		var status *statusError
		if errors.As(err, &status) && status.final() {
			return nil, fmt.Errorf("%w: %w", ErrRefused, err)
		}
		if try == callTries {
			return nil, err
		}
		masters.failed()
		if err := pause(ctx, wait); err != nil {
			return nil, err
		}
		wait *= 2
	}
}

func quotaOf(answer *mesosmaster.Response) map[string]Quota {
	all := map[string]Quota{}
	if answer.GetQuota == nil {
		return all
	}
	amounts := func(scalars map[string]mesos.Value_Scalar) map[string]offers.Amount {
		by := map[string]offers.Amount{}
		for name, s := range scalars {
			by[name] = offers.AmountOf(s.Value)
		}
		return by
	}
	for _, c := range answer.GetQuota.Status.Configs {
		all[c.Role] = Quota{Guarantees: amounts(c.Guarantees), Limits: amounts(c.Limits)}
	}
	for _, info := range answer.GetQuota.Status.Infos { // all that a master before 1.9 says
		if _, told := all[info.GetRole()]; told {
			continue
		}
		q := Quota{Guarantees: map[string]offers.Amount{}}
		maps.Insert(q.Guarantees, offers.Sum(info.Guarantee).Scalars())
		all[info.GetRole()] = q
	}
	return all
}
