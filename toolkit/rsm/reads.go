package rsm

import "cohort/toolkit"

// reads is this member's linearizable reads. A read has to see every command whose
// proposer had its result before the read began. A barrier does it: a message of this
// member in the same safe order. Whatever was delivered safe anywhere before it was sent
// has an earlier place in the order, for the majority that holds it holds its record; and
// the barrier is safe only once a majority of this very view has acknowledged it: had the
// others gone on without this member before, they would not. A plain abcast barrier would
// not do: a member that is cut off delivers that to itself, and reads what is old.
//
// One barrier is under way at a time, and serves all who asked before it was sent.
type reads struct {
	num     uint64 // of the last barrier sent
	flying  []func(error)
	waiting []func(error)
}

// add has done called once all that was done before now is applied here; with an error
// if the barrier was lost.
func (r *reads) add(m *machine, out toolkit.Out, done func(error)) {
	r.waiting = append(r.waiting, done)
	if len(r.flying) == 0 {
		r.send(m, out)
	}
}

func (r *reads) send(m *machine, out toolkit.Out) {
	r.num++
	r.flying, r.waiting = r.waiting, nil
	out.Send(m.level, appendNumbers(nil, tagBarrier, r.num))
}

func (r *reads) passed(m *machine, num uint64, out toolkit.Out) {
	if num != r.num {
		return // of a barrier that was given up
	}
	done := r.flying
	r.flying = nil
	for _, f := range done {
		f(nil)
	}
	if len(r.waiting) > 0 {
		r.send(m, out)
	}
}

// void ends all that is under way.
func (r *reads) void(err error) {
	list := append(r.flying, r.waiting...)
	r.num++
	r.flying, r.waiting = nil, nil
	for _, f := range list {
		f(err)
	}
}
