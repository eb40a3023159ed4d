package engine

import (
	"fmt"
	"math/bits"
	"slices"
	"sync"

	"cohort/membership"
)

// askTable is a group's questions that wait for answers. Only the loop tells it what
// has come.
type askTable struct {
	mu      sync.Mutex
	members []membership.Member // whom a question asks now, by rank; shared, only read
	open    map[uint64]*question
}

// question is one that waits. But for what never changes it is the table's.
type question struct {
	number uint64
	all    bool
	count  int                 // answers wanted, or of All replies
	asked  []membership.Member // by rank
	news   chan struct{}       // has one in it if there is something to take

	pending uint64  // bit per rank: nothing has come of it
	answers int     // that are not null
	replies []Reply // not taken yet
	over    bool
	err     error // why it is, if not because it is complete
}

// begin opens a question to the present members.
func (t *askTable) begin(number uint64, want Replies) (*question, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	size := len(t.members)
	q := &question{number: number, all: want == All, count: want.of(size), asked: t.members, news: make(chan struct{}, 1)}
	if q.count > size {
		return nil, fmt.Errorf("engine: %w: %d replies, and the group has %d members", ErrNoReply, q.count, size)
	}
	q.pending = 1<<size - 1
	if t.open == nil {
		t.open = map[uint64]*question{}
	}
	t.open[number] = q
	return q, nil
}

// end takes a question off the table.
func (t *askTable) end(q *question) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, q.number)
}

// take returns what has come since, whether that is all, and if so, what is wrong.
func (t *askTable) take(q *question) (replies []Reply, over bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	replies, q.replies = q.replies, nil
	return replies, q.over, q.err
}

// view notes who is in the group from here on, and that no more comes of who has gone.
func (t *askTable) view(v *GroupView) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.members = v.Members
	for _, q := range t.open {
		for _, d := range v.Left {
			q.take(d.ID, Reply{Null: true, Reason: d.Reason})
		}
	}
}

// reply notes what the member with this ID has replied.
func (t *askTable) reply(number, id uint64, null bool, payload []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if q := t.open[number]; q != nil {
		r := Reply{Null: null}
		if !null {
			r.Payload = append([]byte(nil), payload...)
		}
		q.take(id, r)
	}
}

// fail ends all questions.
func (t *askTable) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, q := range t.open {
		if !q.over {
			q.over, q.err = true, err
			q.tell()
		}
	}
}

// take counts what has come of a member, unless it was not asked, or something has come
// of it before.
func (q *question) take(id uint64, r Reply) {
	rank := slices.IndexFunc(q.asked, func(m membership.Member) bool { return m.ID == id })
	if q.over || rank < 0 || q.pending>>rank&1 == 0 {
		return
	}
	q.pending &^= 1 << rank
	r.Sender, r.From = rank, q.asked[rank]
	q.replies = append(q.replies, r)
	if !r.Null {
		q.answers++
	}
	switch left := bits.OnesCount64(q.pending); {
	case q.all:
		q.over = left == 0
	case q.answers == q.count:
		q.over = true
	case q.answers+left < q.count:
		q.over, q.err = true, fmt.Errorf("engine: %w: the others have failed, left or declined", ErrNoReply)
	}
	q.tell()
}

// tell wakes who asked.
func (q *question) tell() {
	select {
	case q.news <- struct{}{}:
	default:
	}
}
