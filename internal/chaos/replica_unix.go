//go:build unix

package chaos

import (
	"bytes"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"cohort/engine"
	"cohort/membership"
	"cohort/order"
)

// replica is the handler of a member: it keeps the state, and the journal. One
// lasts from the joining of the group to the leaving.
type replica struct {
	journal *Journal
	node    *engine.Node
	process int
	bulk    int           // bytes added to a state that is given, so that it takes its time
	slow    time.Duration // about what taking one lasts

	mu       sync.Mutex
	state    state
	ring     uint64 // key of the ring's view
	num      uint64 // of that
	ringID   uint64
	restored bool // the next view belongs to the state restored
	self     uint64
	own      [threads]atomic.Uint32 // numbers of its own that have come back
	standing atomic.Uint64
}

// see notes the ring's view if it has changed.
func (r *replica) see() {
	v := r.node.View()
	if v.Num == r.num && v.Ring == r.ringID {
		return
	}
	r.ring, r.num, r.ringID = v.Key(), v.Num, v.Ring
	if rank := r.node.Rank(); rank < len(v.Members) {
		r.self = v.Members[rank].ID
	}
	r.journal.Write(Record{Kind: Ring, Num: uint32(v.Num), ID: r.ring, Args: []uint64{v.Ring, r.self}})
}

// Deliver checks and notes a message.
func (r *replica) Deliver(m *engine.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.see()
	s, ok := parse(m.Payload)
	from := m.From()
	if !ok || processOf(from.Name) != int(s.process) || m.Level != s.level() {
		r.journal.Write(Record{Kind: Broken, Thread: s.thread, Level: m.Level, Num: s.num, ID: from.ID})
		return
	}
	k := sender{from.ID, s.thread}
	r.state.has(k, s.num)
	if m.Level.Order() == order.Total {
		r.state.total(k, s.num)
	}
	if int(s.process) == r.process {
		r.own[s.thread].Store(s.num)
	}
	r.journal.Write(Record{Kind: Deliver, Thread: s.thread, Level: m.Level, Num: s.num, ID: from.ID})
}

// View notes a view.
func (r *replica) View(v engine.GroupView) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.see()
	rec := Record{Kind: View, Num: uint32(v.Num), Flags: r.flags(v)}
	for _, m := range v.Members {
		rec.Args = append(rec.Args, m.ID)
	}
	if v.Fresh {
		rec.ID = mix(r.ringID + mix(v.Num+mix(r.self)))
		r.state = newState(rec.ID)
	}
	r.journal.Write(rec)
	r.stand(rec.Flags)
	if rec.Flags&(FlagBlocked|FlagExpelled|FlagDeparted) != 0 {
		return
	}
	if !r.restored {
		r.state.goTo(v.Num, rec.Args)
	}
	r.restored = false
}

func (r *replica) stand(flags uint8) {
	switch {
	case flags&FlagBlocked != 0:
		r.standing.Store(Blocked)
	case flags&FlagExpelled != 0:
		r.standing.Store(Away)
	case flags&FlagDeparted != 0:
		r.standing.Store(Outside)
	default:
		r.standing.Store(Inside)
	}
}

func (r *replica) flags(v engine.GroupView) (f uint8) {
	here := func(m membership.Member) bool { return m.ID == r.self }
	for _, c := range []struct {
		yes  bool
		flag uint8
	}{
		{v.Fresh, FlagFresh},
		{v.Blocked, FlagBlocked},
		{v.Expelled, FlagExpelled},
		{slices.ContainsFunc(v.Left, func(d engine.Departed) bool { return d.Reason != membership.Left }), FlagFailure},
		{!slices.ContainsFunc(v.Members, here) && slices.ContainsFunc(v.Left, func(d engine.Departed) bool { return here(d.Member) }), FlagDeparted},
	} {
		if c.yes {
			f |= c.flag
		}
	}
	return f
}

// Snapshot gives the state away.
func (r *replica) Snapshot() (io.ReadCloser, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.journal.Write(Record{Kind: Snapshot, ID: r.state.digest()})
	return io.NopCloser(bytes.NewReader(encode(r.state.record(), r.bulk))), nil
}

// Restore takes a state, in no hurry.
func (r *replica) Restore(from io.Reader) error {
	r.journal.Post(Restoring, 1)
	defer r.journal.Post(Restoring, 0)
	b, err := r.read(from)
	if err != nil {
		return err
	}
	rec, err := decode(b)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state, _ = restored(rec)
	r.restored = true
	r.journal.Write(rec)
	return nil
}

func (r *replica) read(from io.Reader) ([]byte, error) {
	pause := time.Duration(rand.Int64N(int64(2*r.slow)+1)) / 8
	var all []byte
	for piece := make([]byte, max(r.bulk/8, 1<<12)); ; time.Sleep(pause) {
		k, err := io.ReadFull(from, piece)
		all = append(all, piece[:k]...)
		switch err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			return all, nil
		default:
			return nil, err
		}
	}
}
