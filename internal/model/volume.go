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
func growVolume(op *mesos.Offer_Operation_GrowVolume) (conversion, error) {
	if op == nil {
		return conversion{}, invalidResources{errors.New("A GROW_VOLUME operation must have the Offer.Operation.grow_volume field set")}
	}
	volume, err := oneResource(op.Volume)
	if err != nil {
		return conversion{}, err
	}
	addition, err := oneResource(op.Addition)
	if err != nil {
		return conversion{}, err
	}
	switch {
	case addition.milli <= 0:
		return conversion{}, errors.New("The size of 'GrowVolume.addition' field must be greater than zero")
	case volume.meta.ProviderID != nil:
		return conversion{}, errors.New("Growing a volume from a resource provider is not supported")
	}
	if err := validateVolume(volume); err != nil {
		return conversion{}, fmt.Errorf("Invalid persistent volume in the 'GrowVolume.volume' field: %w", err)
	}
	if volume.shared() {
		return conversion{}, errors.New("Growing a shared persistent volume is not supported")
	}
	stripped := volume.withoutVolume()
	if stripped.shape != addition.shape || stripped.whole() {
		return conversion{}, errors.New("Incompatible resources in the 'GrowVolume.volume' and 'GrowVolume.addition' fields")
	}
	volume.role, addition.role = "", ""
	grown := volume
	grown.milli += addition.milli
	return conversion{Resources{volume, addition}, Resources{grown}}, nil
}

// shrinkVolume gives a part of a volume back as disk.
func shrinkVolume(op *mesos.Offer_Operation_ShrinkVolume) (conversion, error) {
	if op == nil {
		return conversion{}, invalidResources{errors.New("A SHRINK_VOLUME offer operation must have the Offer.Operation.shrink_volume field set")}
	}
	volume, err := oneResource(op.Volume)
	if err != nil {
		return conversion{}, err
	}
	// Beyond what a scalar can be, the number is out of the volume's range
	// just as well.
	subtract := int64(math.Round(min(max(op.Subtract.Value, 0), float64(maxScalar)) * 1000))
	switch {
	case subtract <= 0 || math.IsNaN(op.Subtract.Value):
		return conversion{}, errors.New("Value of 'ShrinkVolume.subtract' must be greater than zero")
	case volume.milli <= subtract:
		return conversion{}, errors.New("Value of 'ShrinkVolume.subtract' must be smaller than the size of 'ShrinkVolume.volume'")
	case volume.meta.ProviderID != nil:
		return conversion{}, errors.New("Shrinking a volume from a resource provider is not supported")
	case volume.meta.Disk.GetSource().GetType() == mesos.Resource_DiskInfo_Source_MOUNT:
		return conversion{}, errors.New("Shrinking a volume on a MOUNT disk is not supported")
	}
	if err := validateVolume(volume); err != nil {
		return conversion{}, fmt.Errorf("Invalid persistent volume in the 'ShrinkVolume.volume' field: %w", err)
	}
	if volume.shared() {
		return conversion{}, errors.New("Shrinking a shared persistent volume is not supported")
	}
	volume.role = ""
	small, freed := volume, volume.withoutVolume()
	small.milli -= subtract
	freed.milli = subtract
	return conversion{Resources{volume}, Resources{small, freed}}, nil
}

// oneResource converts a single resource from the wire.
func oneResource(in mesos.Resource) (resource, error) {
	r, err := newResource(&in)
	if err != nil {
		return resource{}, invalidResources{fmt.Errorf("Resource '%s' is invalid: %w", wireText(&in), err)}
	}
	return r, nil
}

// validateVolume checks that a resource is a persistent volume
// (validatePersistentVolume).
func validateVolume(r resource) error {
	switch d := r.meta.Disk; {
	case d == nil:
		return fmt.Errorf("Resource %s does not have DiskInfo", r)
	case d.Persistence == nil:
		return errors.New("'persistence' is not set in DiskInfo")
	case d.Volume.GetMode() == mesos.RO:
		return errors.New("Read-only persistent volume not supported")
	}
	return nil
}
