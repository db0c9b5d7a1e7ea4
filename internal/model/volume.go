package model

import (
	"errors"
	"fmt"
	"math"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// The checks of this file are those of src/master/validation.cpp for
// GROW_VOLUME and SHRINK_VOLUME, in their order and with their texts.

// growVolume makes a volume larger by disk of the same kind.
func growVolume(volume, addition resource) ([]conversion, error) {
	switch {
	case addition.milli <= 0:
		return nil, errors.New("The size of 'GrowVolume.addition' field must be greater than zero")
	case volume.meta.ProviderID != nil:
		return nil, errors.New("Growing a volume from a resource provider is not supported")
	}
	if err := validateVolume(volume); err != nil {
		return nil, fmt.Errorf("Invalid persistent volume in the 'GrowVolume.volume' field: %w", err)
	}
	if volume.shared() {
		return nil, errors.New("Growing a shared persistent volume is not supported")
	}
	stripped := volume.withoutVolume()
	if stripped.shape != addition.shape || stripped.whole() {
		return nil, errors.New("Incompatible resources in the 'GrowVolume.volume' and 'GrowVolume.addition' fields")
	}
	grown := volume
	grown.milli += addition.milli
	return []conversion{{consumed: sum([]resource{volume, addition}), converted: Resources{grown}}}, nil
}

// shrinkVolume gives a part of a volume back as disk.
func shrinkVolume(volume resource, by float64) ([]conversion, error) {
	// Beyond what a scalar can be, the number is out of the volume's range
	// just as well.
	subtract := int64(math.Round(min(max(by, 0), float64(maxScalar)) * 1000))
	switch {
	case subtract <= 0 || math.IsNaN(by):
		return nil, errors.New("Value of 'ShrinkVolume.subtract' must be greater than zero")
	case volume.milli <= subtract:
		return nil, errors.New("Value of 'ShrinkVolume.subtract' must be smaller than the size of 'ShrinkVolume.volume'")
	case volume.meta.ProviderID != nil:
		return nil, errors.New("Shrinking a volume from a resource provider is not supported")
	case volume.meta.Disk.GetSource().GetType() == mesos.Resource_DiskInfo_Source_MOUNT:
		return nil, errors.New("Shrinking a volume on a MOUNT disk is not supported")
	}
	if err := validateVolume(volume); err != nil {
		return nil, fmt.Errorf("Invalid persistent volume in the 'ShrinkVolume.volume' field: %w", err)
	}
	if volume.shared() {
		return nil, errors.New("Shrinking a shared persistent volume is not supported")
	}
	small, freed := volume, volume.withoutVolume()
	small.milli -= subtract
	freed.milli = subtract
	return []conversion{{consumed: Resources{volume}, converted: Resources{small, freed}}}, nil
}

// validateVolume checks that a resource is a persistent volume
// (validatePersistentVolume).
func validateVolume(r resource) error {
	switch d := r.meta.Disk; {
	case d == nil:
		return fmt.Errorf("Resource %s does not have DiskInfo", r)
	case d.Persistence == nil:
		return errors.New("'persistence' is not set in DiskInfo")
	case d.Volume == nil:
		return errors.New("Expecting 'volume' to be set for persistent volume")
	case d.Volume.GetMode() == mesos.RO:
		return errors.New("Read-only persistent volume not supported")
	}
	return nil
}
