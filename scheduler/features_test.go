package scheduler

import (
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"
)

func TestCheckVersion(t *testing.T) {
	t.Parallel()
	for version, ok := range map[string]bool{
		"1.12.0": true, "1.4.0": true, "1.4": true, "2.0.0-dev": true, "1.10.0-rc1": true, "": true, "dev": true, "1.x": true,
		"1.3.9": false, "0.28.2": false, "1.0.0": false,
	} {
		if err := checkVersion(version); ok {
			assert.NoError(t, err, version)
		} else {
			assert.ErrorIs(t, err, ErrRefused, version)
			assert.ErrorContains(t, err, "Mesos "+version)
		}
	}
}

func TestFeatures(t *testing.T) {
	t.Parallel()
	draining := mesos.MasterInfo_Capability_AGENT_DRAINING
	all := []Feature{VolumeResizing, OperationFeedback, FrameworkUpdates, AgentDraining, QuotaLimits, TaskLimits, OfferConstraints}
	for _, c := range []struct {
		name         string
		version      string
		capabilities []mesos.MasterInfo_Capability_Type
		lacks        []Feature
	}{
		{"the oldest", "1.4.0", nil, all},
		{"resizes", "1.6.2", nil, all[1:]},
		{"tells of operations", "1.8.1", nil, all[2:]},
		{"drains", "1.9.0", []mesos.MasterInfo_Capability_Type{draining, quotaV2}, all[5:]},
		{"does not say what it can", "1.9.0", nil, all[3:]},
		{"limits tasks", "1.10.0", []mesos.MasterInfo_Capability_Type{draining, quotaV2}, all[6:]},
		{"has it all", "1.11.0", []mesos.MasterInfo_Capability_Type{1, draining, quotaV2}, nil},
		{"next", "2.0.0", []mesos.MasterInfo_Capability_Type{1, draining, quotaV2}, nil},
		{"says nothing", "", nil, nil},
		{"says something else", "dev", nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, c.lacks, Master{Version: c.version, Capabilities: c.capabilities}.Lacks())
		})
	}
	assert.Equal(t, "offer constraints", OfferConstraints.String())
	assert.Equal(t, "Feature(99)", Feature(99).String())
}
