package model

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// The checks of this file are those of validation::operation in
// src/master/validation.cpp, in their order and with their texts; what an
// operation turns into what is in src/common/resources_utils.cpp
// (getResourceConversions).

// conversion is one step of an operation: what it turns into what, allocated
// as in the offer that it is applied to.
type conversion struct {
	consumed, converted Resources
	// last says that nothing of consumed may be left: it destroys a volume, of
	// which a shared one can be offered several times over.
	last bool
}

// apply converts what it is applied to, or says why not.
func (c conversion) apply(rs Resources) (Resources, error) {
	rest, ok := rs.Minus(c.consumed)
	if !ok {
		return nil, fmt.Errorf("%s does not contain %s", rs, c.consumed)
	}
	if c.last && rest.Contains(c.consumed) {
		return nil, fmt.Errorf("Persistent volume %s cannot be removed due to additional shared copies", c.consumed)
	}
	return rest.Plus(c.converted), nil
}

// total sums up the steps of an operation, without allocation.
func total(cs []conversion) conversion {
	var sum conversion
	for _, c := range cs {
		sum.consumed = sum.consumed.Plus(c.consumed.Allocated(""))
		sum.converted = sum.converted.Plus(c.converted.Allocated(""))
	}
	return sum
}

// requester is who wants an operation.
type requester struct {
	framework *framework // nil: the operator
	role      string     // of the offers that a framework accepts
	principal *string    // nil: none is known
}

// operands are the resources of an operation as they were given.
type operands struct{ main, more []resource }

// invalidResources marks an error in resources themselves, before any rule of
// an operation is looked at.
type invalidResources struct{ error }

// parseOperation reads the resources of an operation; by is allocated what is
// not allocated yet. The error is an invalidResources.
func parseOperation(op *mesos.Offer_Operation, by requester) (operands, error) {
	main, more, err := fieldsOf(op)
	if err != nil {
		return operands{}, invalidResources{err}
	}
	var out operands
	for _, list := range []struct {
		in  []mesos.Resource
		out *[]resource
	}{{main, &out.main}, {more, &out.more}} {
		for i := range list.in {
			r, err := newResource(&list.in[i])
			if err != nil {
				return operands{}, invalidResources{fmt.Errorf("Resource '%s' is invalid: %w", wireText(&list.in[i]), err)}
			}
			if r.role == "" {
				r.role = by.role
			}
			*list.out = append(*list.out, r)
		}
	}
	return out, nil
}

// fieldsOf returns the resources of an operation, which must have the field of
// its type.
func fieldsOf(op *mesos.Offer_Operation) (main, more []mesos.Resource, err error) {
	missing := func(article, field, end string) error {
		return fmt.Errorf("%s %s offer operation must have the Offer.Operation.%s field set%s", article, op.Type, field, end)
	}
	switch op.Type {
	case mesos.Offer_Operation_RESERVE:
		if op.Reserve == nil {
			return nil, nil, missing("A", "reserve", ".")
		}
		return op.Reserve.Resources, op.Reserve.Source, nil
	case mesos.Offer_Operation_UNRESERVE:
		if op.Unreserve == nil {
			return nil, nil, missing("An", "unreserve", ".")
		}
		return op.Unreserve.Resources, nil, nil
	case mesos.Offer_Operation_CREATE:
		if op.Create == nil {
			return nil, nil, missing("A", "create", ".")
		}
		return op.Create.Volumes, nil, nil
	case mesos.Offer_Operation_DESTROY:
		if op.Destroy == nil {
			return nil, nil, missing("A", "destroy", ".")
		}
		return op.Destroy.Volumes, nil, nil
	case mesos.Offer_Operation_GROW_VOLUME:
		if op.GrowVolume == nil {
			return nil, nil, errors.New("A GROW_VOLUME operation must have the Offer.Operation.grow_volume field set")
		}
		return []mesos.Resource{op.GrowVolume.Volume}, []mesos.Resource{op.GrowVolume.Addition}, nil
	case mesos.Offer_Operation_SHRINK_VOLUME:
		if op.ShrinkVolume == nil {
			return nil, nil, missing("A", "shrink_volume", "")
		}
		return []mesos.Resource{op.ShrinkVolume.Volume}, nil, nil
	case mesos.Offer_Operation_CREATE_DISK:
		if op.CreateDisk == nil {
			return nil, nil, missing("A", "create_disk", ".")
		}
		return []mesos.Resource{op.CreateDisk.Source}, nil, nil
	case mesos.Offer_Operation_DESTROY_DISK:
		if op.DestroyDisk == nil {
			return nil, nil, missing("A", "destroy_disk", ".")
		}
		return []mesos.Resource{op.DestroyDisk.Source}, nil, nil
	}
	return nil, nil, errors.New("Unknown offer operation")
}

// conversionsOf validates an operation on an agent.
func (a *agent) conversionsOf(op *mesos.Offer_Operation, in operands, by requester) ([]conversion, error) {
	switch op.Type {
	case mesos.Offer_Operation_RESERVE:
		return reserve(in, by)
	case mesos.Offer_Operation_UNRESERVE:
		return unreserve(in.main)
	case mesos.Offer_Operation_CREATE:
		return a.create(in.main, by)
	case mesos.Offer_Operation_DESTROY:
		return a.destroy(in.main)
	case mesos.Offer_Operation_GROW_VOLUME:
		return growVolume(in.main[0], in.more[0])
	case mesos.Offer_Operation_SHRINK_VOLUME:
		return shrinkVolume(in.main[0], op.ShrinkVolume.Subtract.Value)
	}
	return nil, diskOperation(op, in.main[0])
}

// checkOperands is what all operations on several resources check first.
func checkOperands(rs []resource) error {
	if err := validateResources(rs); err != nil {
		return fmt.Errorf("Invalid resources: %w", err)
	}
	return nil
}

// oneProvider checks that resources are the agent's, or all of one resource
// provider (validateSingleResourceProvider).
func oneProvider(rs []resource) error {
	ids := map[string]bool{}
	for _, r := range rs {
		ids[r.meta.ProviderID.GetValue()] = true
	}
	switch {
	case len(ids) == 1:
		return nil
	case ids[""]:
		return errors.New("Invalid resources: Some resources have a resource provider and some do not")
	}
	return fmt.Errorf("Invalid resources: The resources have multiple resource providers: %s", strings.Join(sortedKeys(ids), ", "))
}

func reserve(in operands, by requester) ([]conversion, error) {
	if err := checkOperands(in.main); err != nil {
		return nil, err
	}
	if err := validateResources(in.more); err != nil {
		return nil, fmt.Errorf("Invalid source: %w", err)
	}
	if len(in.more) > 0 {
		if err := sameBut(in.more, in.main); err != nil {
			return nil, err
		}
	}
	if err := oneProvider(in.main); err != nil {
		return nil, err
	}
	for _, r := range in.main {
		if err := by.mayReserve(r); err != nil {
			return nil, err
		}
	}
	if by.framework != nil {
		if err := oneRole(in.main); err != nil {
			return nil, fmt.Errorf("Invalid reservation resources: %w", err)
		}
	}
	target := sum(in.main)
	source := sum(in.more)
	if len(in.more) == 0 {
		source = target.mapEach(resource.popped)
	}
	return []conversion{{consumed: source, converted: target}}, nil
}

// mayReserve checks who reserves for whom.
func (by requester) mayReserve(r resource) error {
	if !r.dynamic() {
		return fmt.Errorf("Resource %s is not dynamically reserved", r)
	}
	if by.principal != nil {
		switch p := r.meta.Reservations[len(r.meta.Reservations)-1].Principal; {
		case p == nil:
			return fmt.Errorf("A reserve operation was attempted by principal '%s', but there is a reserved resource in the request with no principal set", *by.principal)
		case *p != *by.principal:
			return fmt.Errorf("A reserve operation was attempted by authenticated principal '%s', which does not match a reserved resource in the request with principal '%s'", *by.principal, *p)
		}
	}
	switch f := by.framework; {
	case f == nil && r.role != "":
		return errors.New("A reserve operation was attempted with an allocated resource, but the operator API only allows reservations to be made to unallocated resources")
	case f == nil:
	case r.role != r.reservedFor():
		return fmt.Errorf("A reserve operation was attempted for a resource with role '%s', but the resource was allocated to role '%s'", r.reservedFor(), r.role)
	case !slices.Contains(f.roles, r.role):
		return fmt.Errorf("A reserve operation was attempted for a resource allocated to role '%s', but the framework only has roles '%s'", r.role, setText(f.roles))
	}
	return nil
}

// sameBut checks that source and target of a change of reservations differ in
// nothing else.
func sameBut(source, target []resource) error {
	for _, x := range []struct {
		name string
		rs   []resource
	}{{"source", source}, {"resources", target}} {
		if len(x.rs) == 0 {
			return fmt.Errorf("Invalid %s: Resource cannot be empty", x.name)
		}
		for _, r := range x.rs {
			if !equalReservations(r, x.rs[0]) {
				return fmt.Errorf("Invalid %s: Mixed reservations are not supported%s", x.name, sum(x.rs))
			}
		}
	}
	from, to := sum(source).mapEach(resource.unreserved), sum(target).mapEach(resource.unreserved)
	if !from.Equal(to) {
		return fmt.Errorf("Source and target resources should refer to identical resource quantities: %s vs. %s", from, to)
	}
	return nil
}

func equalReservations(a, b resource) bool {
	return slices.EqualFunc(a.meta.Reservations, b.meta.Reservations, func(x, y mesos.Resource_ReservationInfo) bool { return x.Equal(&y) })
}

func unreserve(rs []resource) ([]conversion, error) {
	if err := checkOperands(rs); err != nil {
		return nil, err
	}
	if err := oneProvider(rs); err != nil {
		return nil, err
	}
	var out []conversion
	for _, r := range rs {
		if !r.dynamic() {
			return nil, fmt.Errorf("Resource %s is not dynamically reserved", r)
		}
		if r.volume() {
			return nil, fmt.Errorf("A dynamically reserved persistent volume %s cannot be unreserved directly. Please destroy the persistent volume first then unreserve the resource", r)
		}
		out = append(out, conversion{consumed: Resources{r}, converted: Resources{r.popped()}})
	}
	return out, nil
}

func (a *agent) create(rs []resource, by requester) ([]conversion, error) {
	if err := checkOperands(rs); err != nil {
		return nil, err
	}
	if err := oneProvider(rs); err != nil {
		return nil, err
	}
	for _, r := range rs {
		if err := validateVolume(r); err != nil {
			return nil, fmt.Errorf("Not a persistent volume: %w", err)
		}
	}
	if err := uniqueVolumes(append(slices.Clone(a.total), rs...)); err != nil {
		return nil, err
	}
	for _, r := range rs {
		if err := by.mayCreate(r); err != nil {
			return nil, err
		}
	}
	if by.framework != nil {
		if err := oneRole(rs); err != nil {
			return nil, fmt.Errorf("Invalid volume resources: %w", err)
		}
	}
	var out []conversion
	for _, r := range rs {
		out = append(out, conversion{consumed: Resources{r.withoutVolume()}, converted: Resources{r}})
	}
	return out, nil
}

func (by requester) mayCreate(r resource) error {
	if f := by.framework; f != nil && r.shared() && !f.can(mesos.FrameworkInfo_Capability_SHARED_RESOURCES) {
		return fmt.Errorf("Create volume operation for '%s' has been attempted by framework '%s' with no SHARED_RESOURCES capability", r, f.id)
	}
	if by.principal == nil {
		return nil
	}
	switch p := r.meta.Disk.Persistence.Principal; {
	case p == nil:
		return fmt.Errorf("Create volume operation attempted by principal '%s', but there is a volume in the operation with no principal set in 'disk.persistence'", *by.principal)
	case *p != *by.principal:
		return fmt.Errorf("Create volume operation attempted by authenticated principal '%s', which does not match a volume in the operation with principal '%s' set in 'disk.persistence'", *by.principal, *p)
	}
	return nil
}

func (a *agent) destroy(rs []resource) ([]conversion, error) {
	if err := checkOperands(rs); err != nil {
		return nil, err
	}
	if err := oneProvider(rs); err != nil {
		return nil, err
	}
	for _, r := range rs {
		if err := validateVolume(r); err != nil {
			return nil, fmt.Errorf("Not a persistent volume: %w", err)
		}
	}
	bare := sum(rs).Allocated("")
	if !a.total.Contains(bare) {
		return nil, errors.New("Persistent volumes not found")
	}
	for _, used := range a.used() {
		if slices.ContainsFunc(bare, func(r resource) bool { return r.shape == used.shape }) {
			return nil, errors.New("Persistent volumes in use")
		}
	}
	var out []conversion
	for _, r := range rs {
		out = append(out, conversion{consumed: Resources{r}, converted: Resources{r.withoutVolume()}, last: true})
	}
	return out, nil
}

// diskOperation says why a disk cannot be made or destroyed: only resource
// providers do that, and agents here have none.
func diskOperation(op *mesos.Offer_Operation, source resource) error {
	if err := validateResources([]resource{source}); err != nil {
		return fmt.Errorf("Invalid resource: %w", err)
	}
	if source.meta.ProviderID == nil {
		return errors.New("'source' is not managed by a resource provider")
	}
	return fmt.Errorf("Invalid %s Operation: resource provider %s is unknown", op.Type, source.meta.ProviderID.Value)
}

// setText writes names as Mesos writes a set.
func setText(names []string) string {
	return "{ " + strings.Join(slices.Sorted(slices.Values(names)), ", ") + " }"
}
