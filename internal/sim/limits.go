package sim

import (
	"time"

	"cohort/flowctl"
	"cohort/slab"
)

// memoryBound is what a member's slabs may take, in bytes: what it may hold for
// its program, what all senders' windows may have in flight beyond that and
// until it is stable, and as much again for slabs that are not full.
func (s Scenario) memoryBound() int {
	return 2*(s.HoldLimit+s.RecvBuffer) + 4*s.Members*slab.Size
}

// checkMemory is the first half of the property BoundedMemory.
func (m *member) checkMemory() {
	if m.w.s.OwnSlab {
		return
	}
	used := m.pool.Live() * slab.Size
	m.w.res.Memory = max(m.w.res.Memory, used)
	if bound := m.w.s.memoryBound(); used > bound {
		m.w.h.fail("BoundedMemory", m.rank, "%d B of slabs in use, want at most %d", used, bound)
	}
}

// checkReleased is the second half of the property BoundedMemory: all has been
// delivered and acknowledged, so hardly more than the slab under construction is
// in use.
func (w *world) checkReleased() {
	for _, m := range w.members {
		if live := m.pool.Live(); live > 3 {
			w.h.fail("BoundedMemory", m.rank, "%d slabs in use though all is delivered everywhere", live)
		}
	}
}

// checkQuiet is the property Quiet: a heartbeat of each member now and then, and
// a few turns to send it and to receive the others'.
func (w *world) checkQuiet() {
	beats := int(listen/flowctl.Heartbeat) + 1
	for i := range w.members {
		if w.sent[i] > beats {
			w.h.fail("Quiet", i, "sent %d packets in %v of silence, want at most %d", w.sent[i], time.Duration(listen), beats)
		}
		if most := 2 * beats * w.s.Members; w.turns[i] > most {
			w.h.fail("Quiet", i, "took %d turns in %v of silence, want at most %d", w.turns[i], time.Duration(listen), most)
		}
	}
}

// checkOverrun is the property NoOverrun. A slow program is no excuse. A paused
// member is: rows, which no window bounds and whose loss does no harm, pile up in
// front of it.
func (w *world) checkOverrun() {
	if s := w.s; w.res.Overrun > 0 && s.Batch > 1 && s.Loss == 0 && s.Dup == 0 && s.Corrupt == 0 &&
		!s.has(Pause) && !s.has(Cut) && !s.has(Stray) {
		w.h.fail("NoOverrun", 0, "%d packets found a socket buffer full", w.res.Overrun)
	}
}

// checkPrompt is the property Prompt; it is called when a message is delivered
// or taken for submission.
func (w *world) checkPrompt(rank int) {
	idle := w.now - max(w.moved, started+w.s.unfair())
	w.moved = w.now
	if most := w.s.patience(); idle > most {
		w.h.fail("Prompt", rank, "nothing was delivered or submitted for %v, want at most %v", time.Duration(idle), time.Duration(most))
	}
}

// unfair returns until when a scenario may keep a machine from making progress.
func (s Scenario) unfair() int64 {
	if s.gentle() {
		return 0
	}
	return s.Calm
}

// gentle tells whether every packet arrives and every member and its program
// take what comes, not one packet at a time.
func (s Scenario) gentle() bool {
	return s.Batch > 1 && s.Loss == 0 && s.Corrupt == 0 && !s.has(Pause) && !s.has(Slow) && !s.has(Cut)
}

// patience is the longest time without progress: in a gentle scenario a delayed
// acknowledgement, some hops, and the work that has piled up; after faults, the
// longest backoffs of repair and announcement, less than a heartbeat.
func (s Scenario) patience() int64 {
	hops := 8 * (s.Delay + s.Jitter + s.Uneven + s.Nap)
	if s.gentle() {
		return 3*flowctl.AckDelay + hops
	}
	return flowctl.AnnounceMax + flowctl.RetryMax + hops
}

// checkKept is the part of Integrity that is about memory: what a program keeps
// is not written over.
func (w *world) checkKept() {
	for _, m := range w.members {
		for _, k := range m.kept {
			if !k.msg.matches(k.payload) {
				w.h.fail("Integrity", m.rank, "the payload of %v was kept and has changed", k.msg)
			}
		}
	}
}

// checkUnderstood is the property Understood.
func (w *world) checkUnderstood() {
	for i, st := range w.res.Stats {
		bad := st.BadFrames
		if w.s.Corrupt == 0 {
			bad += st.BadPackets + st.OtherVersion
		}
		if other := st.OtherView + st.OtherCluster; bad > 0 || other > 0 && !w.s.has(Stray) && w.s.Corrupt == 0 {
			w.h.fail("Understood", i, "found fault with %d packets, and took %d for a stranger's", bad, other)
		}
	}
}
