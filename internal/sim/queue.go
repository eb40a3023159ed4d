package sim

import "math"

// The kinds of events.
const (
	arrival   = iota // a packet reaches a member's socket buffer
	turn             // a member's machine has a turn
	operation        // the scenario does something
)

type event struct {
	at     int64
	made   uint64 // order of making, which decides between equal times
	kind   int
	member int
	op     int
	packet packet
}

// queue is a binary heap of events by time.
type queue struct {
	heap []event
	made uint64
}

func (q *queue) before(i, j int) bool {
	a, b := &q.heap[i], &q.heap[j]
	return a.at < b.at || a.at == b.at && a.made < b.made
}

// next returns the time of the earliest event, math.MaxInt64 if there is none.
func (q *queue) next() int64 {
	if len(q.heap) == 0 {
		return math.MaxInt64
	}
	return q.heap[0].at
}

func (q *queue) push(e event) {
	q.made++
	e.made = q.made
	q.heap = append(q.heap, e)
	for i := len(q.heap) - 1; i > 0 && q.before(i, (i-1)/2); i = (i - 1) / 2 {
		q.heap[i], q.heap[(i-1)/2] = q.heap[(i-1)/2], q.heap[i]
	}
}

func (q *queue) pop() event {
	top, last := q.heap[0], len(q.heap)-1
	q.heap[0] = q.heap[last]
	q.heap[last] = event{}
	q.heap = q.heap[:last]
	for i := 0; ; {
		least := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < last && q.before(child, least) {
				least = child
			}
		}
		if least == i {
			return top
		}
		q.heap[i], q.heap[least] = q.heap[least], q.heap[i]
		i = least
	}
}
