package groups

import (
	"math/bits"

	"cohort/membership"
)

// Roster is how a member of a ring comes to know the table of its groups: a member
// that stays sends it to those who join when the view begins, labelled with the
// place in the total order that it belongs to; until it has come, operations are
// kept. The driver delivers views and operations in their order:
//
//	r.Enter(v, rank)       the first view of a membership
//	r.Pass(v, rank)        the next one
//	r.Op(sender, op)       an operation; to be carried out if it says so
//	r.Letter(from, l, f)   WantState and State; f tells whether the view is being finished
//	r.Ask(now), r.Due()   asks again
//	r.Learned()            after any of these: what is to be carried out now
//	r.Out()                the end of the membership
type Roster[L any] struct {
	Table *Table[L] // empty until it is known

	view    membership.View
	key     uint64 // of view; 0: in none
	self    int
	known   bool
	learned bool // and the driver has yet to be told
	ops     int  // operations delivered in this view
	kept    []Ordered
	early   *Post  // a table of a view that this member is not in yet; To is who sent it
	none    uint64 // ranks that have said that they do not have it either
	asked   int64  // when the others were last asked for it; 0: not yet
	every   int64  // ns from then until they are asked again
}

// Ordered is an operation and the rank in the ring of its sender.
type Ordered struct {
	Sender int
	Op
}

// Post is a letter and the ID of whom it goes to.
type Post struct {
	To uint64
	membership.Letter
}

// The table is asked for after askEvery ns, and then again and again, each time after twice
// as long, up to askRarely: a large one takes its time, and each who is asked sends another.
const (
	askEvery  = 50_000_000
	askRarely = 16 * askEvery
)

// NewRoster returns the roster of who is in no ring.
func NewRoster[L any]() *Roster[L] { return &Roster[L]{Table: New[L](membership.View{})} }

// Known tells whether the table is there.
func (r *Roster[L]) Known() bool { return r.known }

// Enter begins the membership in a ring with this view and rank.
func (r *Roster[L]) Enter(v membership.View, self int) {
	early := r.early
	*r = *NewRoster[L]()
	r.early = early
	r.begin(v, self)
	if v.Num == 1 {
		r.use(New[L](v), 0)
	}
}

// Pass goes to the next view. It returns what that does to the groups, if they are known.
func (r *Roster[L]) Pass(v membership.View, self int) []Shift[L] {
	r.begin(v, self)
	if !r.known {
		return nil
	}
	return r.Table.Change(v)
}

func (r *Roster[L]) begin(v membership.View, self int) {
	r.view, r.key, r.self = v, v.Key(), self
	r.ops, r.kept, r.none, r.asked, r.every = 0, nil, 0, 0, askEvery
}

// Out ends the membership.
func (r *Roster[L]) Out() { *r = *NewRoster[L]() }

// Op notes an operation. It returns whether it is to be carried out now.
func (r *Roster[L]) Op(sender int, o Op) bool {
	r.ops++
	if !r.known {
		r.kept = append(r.kept, Ordered{sender, o})
	}
	return r.known
}

// Learned returns, once when the table has come to be known, the operations to be
// carried out on it.
func (r *Roster[L]) Learned() (ops []Ordered, ok bool) {
	ok, ops = r.learned, r.kept
	if ok {
		r.learned, r.kept = false, nil
	}
	return ops, ok
}

// Welcome returns the letters to those who have joined by the present view, if it is
// this member's to write them.
func (r *Roster[L]) Welcome() (posts []Post) {
	for rank, m := range r.view.Members {
		if m.Joined != r.view.Num {
			if rank != r.self || !r.known {
				return nil
			}
			break
		}
	}
	for _, rank := range r.view.Joined() {
		posts = append(posts, Post{r.view.Members[rank].ID, r.letter()})
	}
	return posts
}

func (r *Roster[L]) letter() membership.Letter {
	l := membership.Letter{Kind: membership.State, View: r.key, Num: r.view.Num, Blob: []byte{0}}
	if r.known {
		l.Blob = le.AppendUint32([]byte{1}, uint32(r.ops))
		l.Blob = r.Table.Append(l.Blob)
	}
	return l
}

// Letter takes a letter about the table. Who asks is answered only in the same view:
// there no table can come any more to those who all say that they have none. How many
// operations a table contains tells which only as long as the records alone order them.
// While a view is being finished, the order depends on what it is followed by, or on which
// records are lost: then a table with operations is neither given nor taken, but asked for
// again in the next view. The error is that of a malformed table.
func (r *Roster[L]) Letter(from uint64, l membership.Letter, finishing bool) (posts []Post, err error) {
	in := r.key != 0 && l.View == r.key
	rank := r.view.Rank(from)
	switch {
	case l.Kind == membership.WantState:
		if in && rank >= 0 && !(finishing && r.ops > 0) {
			posts = append(posts, Post{from, r.letter()})
		}
	case r.known || !shaped(l.Blob):
	case in && rank >= 0 && l.Blob[0] == 0:
		r.none |= 1 << rank
		r.settle()
	case in && rank >= 0:
		err = r.take(l.Blob, finishing)
	case !in && l.Blob[0] == 1 && (r.key == 0 || l.Num > r.view.Num):
		l.Blob = append([]byte(nil), l.Blob...)
		r.early = &Post{from, l}
	}
	return posts, err
}

// shaped tells whether b may be what letter writes.
func shaped(b []byte) bool { return len(b) == 1 && b[0] == 0 || len(b) >= 5 && b[0] == 1 }

// settle begins with an empty table if nobody in this view has one: all who had it
// have failed or left, so every member comes to the same conclusion.
func (r *Roster[L]) settle() {
	if bits.OnesCount64(r.none) == len(r.view.Members)-1 {
		r.use(New[L](r.view), 0)
	}
}

// take reads a table of the present view.
func (r *Roster[L]) take(b []byte, finishing bool) error {
	ops := int(le.Uint32(b[1:]))
	t, err := Parse[L](r.view, b[5:])
	if err != nil {
		return err
	}
	if ops <= len(r.kept) && !(finishing && ops > 0) { // else this member has delivered less than its sender, or in another order: it asks again
		r.use(t, ops)
	}
	return nil
}

// use begins with a table that contains the first of the kept operations.
func (r *Roster[L]) use(t *Table[L], ops int) {
	r.Table, r.known, r.learned, r.early = t, true, true, nil
	r.kept = r.kept[ops:]
}

// Ask returns the letters that ask for the table if it has not come. The error is
// that of a malformed table.
func (r *Roster[L]) Ask(now int64) (posts []Post, err error) {
	if r.known || r.key == 0 {
		return nil, nil
	}
	if e := r.early; e != nil && e.View == r.key && r.view.Rank(e.To) >= 0 {
		r.early = nil
		return nil, r.take(e.Blob, false) // as of the beginning of the view
	}
	if r.settle(); r.known { // it is alone
		return nil, nil
	}
	if now-r.asked < r.every {
		return nil, nil
	}
	first := r.asked == 0
	r.asked = now
	if first { // it may be on its way
		return nil, nil
	}
	r.every = min(2*r.every, askRarely)
	for rank, m := range r.view.Members {
		if rank != r.self {
			posts = append(posts, Post{m.ID, membership.Letter{Kind: membership.WantState, View: r.key, Num: r.view.Num}})
		}
	}
	return posts, nil
}

// Due returns when Ask is due, ns.
func (r *Roster[L]) Due() int64 {
	if r.known || r.key == 0 {
		return membership.Never
	}
	return r.asked + r.every
}
