package flowctl

import "math"

// Never is the deadline of what waits for nothing.
const Never = math.MaxInt64

// Times of loss repair, in ns.
const (
	Reorder  int64 = 150_000    // a hole may be reordering: wait this long before asking
	RetryMin int64 = 2_000_000  // ask again after this, doubling
	RetryMax int64 = 64_000_000 // up to this
	// RepairHold is how long a repair is taken to be on its way: further
	// requests for the same packet are not answered meanwhile. Shorter than
	// RetryMin, so that a lost repair is sent again at the first retry.
	RepairHold int64 = 1_000_000
)

// Gap decides when one stream's missing packets are asked for: once, early, as
// soon as a hole is older than Reorder; then all that is still missing, with
// backoff. Hole-based requests are those of SRM (Floyd et al., 1995) and Aeron,
// but every hole is asked for at once, and no random delay waits for others to
// ask: repairs are sent once per RepairHold, however many ask.
type Gap struct {
	asked uint64 // packets up to here have been asked for
	fresh int64  // when the holes beyond asked are to be asked for
	retry int64  // when all holes are to be asked for again
	tries int    // since the last progress
}

// NewGap returns the state of a stream without holes.
func NewGap() Gap { return Gap{fresh: Never, retry: Never} }

// Found notes at time now that packets beyond those known so far are missing.
func (g *Gap) Found(now int64) { g.fresh = min(g.fresh, now+Reorder) }

// Closed notes that nothing is missing.
func (g *Gap) Closed() { *g = NewGap() }

// Progress notes that the first missing packet has come: whoever repairs is
// alive, so the backoff starts over.
func (g *Gap) Progress(now int64) {
	g.tries = 0
	if g.retry != Never {
		g.retry = now + RetryMin
	}
}

// Due returns when Ask must be called; Never if nothing is missing.
func (g *Gap) Due() int64 { return min(g.fresh, g.retry) }

// Ask is called when Due has come; first is the first missing packet and top the
// last that is known to exist. It returns the packet from which on holes are to
// be asked for, and how many times the holes have been asked for in vain.
func (g *Gap) Ask(now int64, first, top uint64) (from uint64, tries int) {
	from = first
	if now < g.retry && g.asked >= first {
		from = g.asked + 1
	} else {
		tries = g.tries
		g.retry = now + min(RetryMin<<min(g.tries, 10), RetryMax)
		g.tries++
	}
	g.asked, g.fresh = top, Never
	return from, tries
}
