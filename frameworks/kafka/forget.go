package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/mesokit/mesokit/frameworks"
)

// forgetBroker takes a broker that has left out of the quorum and off the list,
// and ends its cordon, which would else hold for the next broker of its id. The
// active controller is asked itself: brokers pass such requests on to one that
// they remember, and none passes on what concerns another broker's options.
func forgetBroker(ctx context.Context, d frameworks.Deployment, id int32) error {
	if _, ok := d.Node(nodeName(id)); ok {
		return nil // there is one of that id again
	}
	v, err := ask(ctx, d)
	if err != nil {
		return err
	}
	leader, ok := d.Node(nodeName(v.Leader))
	if !ok {
		return fmt.Errorf("the active controller, %d, is no broker of this cluster", v.Leader)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(leader.Address(controllerPort)))
	if err != nil {
		return err
	}
	defer client.Close()
	controller := client.SeedBrokers()[0]
	for _, voter := range v.Voters {
		if voter.ID == id {
			if err := removeVoter(ctx, controller, voter); err != nil {
				return fmt.Errorf("take controller %d out of the quorum: %w", id, err)
			}
		}
	}
	if err := uncordon(ctx, controller, id); err != nil {
		return fmt.Errorf("end the cordon of broker %d: %w", id, err)
	}
	if err := unregister(ctx, controller, id); err != nil {
		return fmt.Errorf("unregister broker %d: %w", id, err)
	}
	return nil
}

func nodeName(id int32) string { return pod + "-" + strconv.Itoa(int(id)) }

func removeVoter(ctx context.Context, controller *kgo.Broker, v voter) error {
	request := kmsg.NewPtrRemoveRaftVoterRequest()
	request.VoterID, request.VoterDirectoryID = v.ID, v.Directory
	answer, err := controller.Request(ctx, request)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(answer.(*kmsg.RemoveRaftVoterResponse).ErrorCode)
}

func uncordon(ctx context.Context, controller *kgo.Broker, id int32) error {
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeBroker, strconv.Itoa(int(id))
	config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	config.Name, config.Op = cordoned, kmsg.IncrementalAlterConfigOpDelete
	resource.Configs = append(resource.Configs, config)
	request := kmsg.NewPtrIncrementalAlterConfigsRequest()
	request.Resources = append(request.Resources, resource)
	answer, err := controller.Request(ctx, request)
	if err != nil {
		return err
	}
	for _, r := range answer.(*kmsg.IncrementalAlterConfigsResponse).Resources {
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil && !unknownOption(err) {
			return err
		}
	}
	return nil
}

func unregister(ctx context.Context, controller *kgo.Broker, id int32) error {
	request := kmsg.NewPtrUnregisterBrokerRequest()
	request.BrokerID = id
	answer, err := controller.Request(ctx, request)
	if err != nil {
		return err
	}
	err = kerr.ErrorForCode(answer.(*kmsg.UnregisterBrokerResponse).ErrorCode)
	if errors.Is(err, kerr.BrokerIDNotRegistered) {
		return nil
	}
	return err
}
