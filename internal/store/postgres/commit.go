package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// maxGroup is how many Creates and Updates share a transaction.
const maxGroup = 256

// op is a Create (create is set) or an Update on its way to the committer.
type op struct {
	create     *order.Order
	firstQuery time.Time
	payments   []order.Payment // of an order that is imported
	limits     store.PendingLimits

	shop, id, payid string
	decide          func(store.Subject) (*store.Change, error)

	state    atomic.Int32 // opWaiting, then one of the others
	done     chan struct{}
	result   *order.Order
	notice   *store.Notice
	err      error
	panicked any // what decide panicked with
}

const (
	opWaiting int32 = iota
	opBegun
	opWithdrawn
)

// Create implements [store.Orders]. Within one node the limits are exact. Nodes
// that create at once may each let in a group too many for one client, and, of
// one shop, also what the others created within the last second if this node
// knew of less than half of the limit then.
func (s *Store) Create(ctx context.Context, o *order.Order, firstQuery time.Time, limits store.PendingLimits) error {
	_, err := s.submit(ctx, &op{create: o, firstQuery: firstQuery, limits: limits, shop: o.Shop, id: o.ID})
	return err
}

// Update implements [store.Orders].
func (s *Store) Update(ctx context.Context, shop, id, payid string, decide func(store.Subject) (*store.Change, error)) (*order.Order, error) {
	if !storable(shop) || !storable(id) {
		return nil, store.ErrNotFound
	}
	return s.submit(ctx, &op{shop: shop, id: id, payid: clean(payid), decide: decide})
}

// submit hands o to the committer and waits for its end. While o waits for its
// turn it can be withdrawn.
func (s *Store) submit(ctx context.Context, o *op) (*order.Order, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	o.done = make(chan struct{})
	patience := time.NewTimer(writeTimeout)
	defer patience.Stop()
	var gaveUp error
	select {
	case s.ops <- o:
		select {
		case <-o.done:
		case <-ctx.Done():
			gaveUp = ctx.Err()
		case <-patience.C:
			gaveUp = errBusy
		}
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-patience.C:
		return nil, errBusy
	}
	if gaveUp != nil {
		if o.state.CompareAndSwap(opWaiting, opWithdrawn) {
			return nil, gaveUp
		}
		<-o.done
	}
	if o.panicked != nil {
		panic(o.panicked)
	}
	return o.result, o.err
}

var errBusy = fmt.Errorf("%w: no turn within %s", store.ErrUnavailable, writeTimeout)

// commitLoop is the committer: it commits together whatever waits, again and
// again, without waiting for more to come.
func (s *Store) commitLoop(ctx context.Context) {
	for {
		select {
		case o := <-s.ops:
			group := []*op{o}
			for len(group) < maxGroup && len(s.ops) > 0 {
				group = append(group, <-s.ops)
			}
			s.commitGroup(group)
		case <-ctx.Done():
			return
		}
	}
}

// commitGroup commits those of ops that were not withdrawn. Each that cannot
// go with the others is committed apart, by and by.
func (s *Store) commitGroup(ops []*op) {
	begun := ops[:0]
	for _, o := range ops {
		if o.state.CompareAndSwap(opWaiting, opBegun) {
			begun = append(begun, o)
		}
	}
	if len(begun) == 0 {
		return
	}
	left, err := s.transact(begun, false)
	if err == nil {
		s.finish(begun, left)
		s.apart(left)
		return
	}
	if hopeless(err) {
		s.fail(begun, err)
		return
	}
	s.apart(begun)
}

// apart commits ops order by order, each order in a lane of its own, so that
// the committer goes on meanwhile.
func (s *Store) apart(ops []*op) {
	byOrder := make(map[string][]*op)
	for _, o := range ops {
		byOrder[o.id] = append(byOrder[o.id], o)
	}
	for _, same := range byOrder {
		s.done.Go(func() {
			select {
			case s.lanes <- struct{}{}:
				defer func() { <-s.lanes }()
			case <-time.After(writeTimeout):
				s.fail(same, errBusy)
				return
			}
			left, err := s.transact(same, true)
			switch {
			case err == nil:
				s.finish(same, left)
			case final(err):
				s.fail(same, err)
			default:
				left = same
			}
			for _, o := range left {
				s.alone(o)
			}
		})
	}
}

// alone commits o by itself. When the server refuses that, it tries again:
// decide may see by now what was in the way.
func (s *Store) alone(o *op) {
	const tries = 3
	for try := 1; ; try++ {
		_, err := s.transact([]*op{o}, true)
		if err == nil {
			s.finish([]*op{o}, nil)
			return
		}
		if try == tries || final(err) {
			s.fail([]*op{o}, err)
			return
		}
	}
}

// final reports whether err ends what waited patiently.
func final(err error) bool { return hopeless(err) || code(err) == codeLocked }

// finish tells of ops that were committed, except those in left, which have no
// notice.
func (s *Store) finish(ops, left []*op) {
	later := make(map[*op]bool, len(left))
	for _, o := range left {
		later[o] = true
	}
	s.tell(notices(ops))
	for _, o := range ops {
		if !later[o] {
			close(o.done)
		}
	}
}

// fail ends ops by err. If they may have been committed all the same, whoever
// watches is woken to look.
func (s *Store) fail(ops []*op, err error) {
	if errors.Is(err, errUnknown) {
		s.recent.ForgetAll()
		s.WakeAll()
	}
	for _, o := range ops {
		o.result, o.err = nil, classify(context.Background(), err)
		close(o.done)
	}
}
