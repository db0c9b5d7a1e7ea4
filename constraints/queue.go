package constraints

// queue knows which value was placed first and is not yet removed, in constant
// time on average. Its zero value is not ready: head has to be none.
type queue struct {
	// head is the first value in the order that is still placed, or none.
	head int32
	// order has the values as they were placed. Of each value the first gone
	// ones are removed already; they are skipped when they come to the front.
	order []int32
	// live and gone count by value; live and gone together are the value's
	// entries in order.
	live, gone []int32
	placed     int // sum of live
}

// none is the head when nothing is placed.
const none = -1

// push adds a value at the end and returns the head before.
func (q *queue) push(id int32) (before int32) {
	for int(id) >= len(q.live) {
		q.live, q.gone = append(q.live, 0), append(q.gone, 0)
	}
	q.live[id]++
	q.placed++
	q.order = append(q.order, id)
	return q.advance()
}

// drop removes the first of a value, if there is one, and returns the head
// before.
func (q *queue) drop(id int32) (before int32) {
	if int(id) >= len(q.live) || q.live[id] == 0 {
		return q.head
	}
	q.live[id]--
	q.gone[id]++
	q.placed--
	before = q.advance()
	if len(q.order) > 2*q.placed+16 {
		q.compact()
	}
	return before
}

func (q *queue) advance() (before int32) {
	before = q.head
	for len(q.order) > 0 && q.gone[q.order[0]] > 0 {
		q.gone[q.order[0]]--
		q.order = q.order[1:]
	}
	q.head = none
	if len(q.order) > 0 {
		q.head = q.order[0]
	}
	return before
}

// compact takes what is gone out of the order, so that it does not grow behind a
// head that stays.
func (q *queue) compact() {
	kept := q.order[:0]
	for _, id := range q.order {
		if q.gone[id] > 0 {
			q.gone[id]--
			continue
		}
		kept = append(kept, id)
	}
	q.order = kept
}
