package load

import (
	"sync/atomic"
	"time"

	"cohort/internal/bench/check"
	"cohort/internal/bench/clock"
)

// Tick is the least that a paced sender sleeps, ns. At a high load a sleep to each
// message would take a whole core, of the few that the members share. What comes due
// meanwhile is late by so much at most, and that counts as latency.
const Tick = 20_000

// Past tells how many messages of each sender a member has delivered. The member's
// delivering goroutine writes it, its sending one reads it; what is read may be
// a little less than the truth, and so is always a true claim.
type Past struct{ counts []count }

// count has a cache line of its own.
type count struct {
	atomic.Uint64
	_ [56]byte
}

// NewPast returns a Past of so many members, none of whose messages were delivered.
func NewPast(members int) *Past { return &Past{counts: make([]count, members)} }

// Set notes how many messages of a member have been delivered.
func (p *Past) Set(member int, n uint64) { p.counts[member].Store(n) }

// Of returns how many messages of a member have been delivered, at least.
func (p *Past) Of(member int) uint64 { return p.counts[member].Load() }

// Sender says whose messages a Source makes.
type Sender struct {
	Rank    int    // of the sending member
	Row     uint16 // number of the row
	Size    int    // bytes of a message
	After   uint64 // sequence number of the sender's last message of this row
	Senders int    // how many members send; ranks 0 to Senders-1
	Past    *Past  // what claims are made from; nil: no claims
}

// Source makes the messages of one sender in one phase. Except for Stop it
// belongs to the goroutine that sends.
type Source struct {
	Sender
	buf   []byte
	stamp Stamp
	of    int // whom the last claim was about
	over  bool

	flood bool
	stop  atomic.Bool

	due   int64
	every int64 // ns between messages
	left  int
	lone  bool
}

func newSource(s Sender) *Source {
	src := &Source{Sender: s, buf: make([]byte, s.Size)}
	for i := range src.buf {
		src.buf[i] = byte(i * 131)
	}
	src.stamp = Stamp{Seq: s.After, Sender: s.Rank, Row: s.Row}
	return src
}

// NewFlood returns a Source of messages that are all due at once, until Stop.
func NewFlood(s Sender) *Source {
	src := newSource(s)
	src.flood = true
	return src
}

// NewPaced returns a Source of n messages, n at least 1, the first due at start
// and the others each `every` after the one before, whether or not that one
// could be sent in time: a stall is counted in every message that it delays.
func NewPaced(s Sender, start int64, every time.Duration, n int) *Source {
	src := newSource(s)
	src.due, src.every, src.left = start, int64(every), n
	return src
}

// NewLone is NewPaced for messages one at a time: each is stamped with when it is
// made, so that the sender's own late waking is not counted.
func NewLone(s Sender, start int64, every time.Duration, n int) *Source {
	src := NewPaced(s, start, every, n)
	src.lone = true
	return src
}

// Stop ends a flood: the next message is its last. Any goroutine may call it.
func (s *Source) Stop() { s.stop.Store(true) }

// Due returns when the next message is to be sent: 0 is at once, whatever the
// time, as in a flood; clock.Never that there are no more.
func (s *Source) Due() int64 {
	switch {
	case s.over:
		return clock.Never
	case s.flood:
		return 0
	}
	return s.due
}

// Next makes the next message. It is valid until the next call.
func (s *Source) Next() []byte {
	s.stamp.Seq++
	if s.flood {
		// A rate needs two deliveries: the first message is never the last.
		s.stamp.Last = s.stop.Load() && s.Sent() > 1
	} else {
		s.stamp.Due = s.due
		if s.lone {
			s.stamp.Due = clock.Now()
		}
		s.due += s.every
		s.left--
		s.stamp.Last = s.left <= 0
	}
	s.over = s.stamp.Last
	if s.Past != nil {
		if s.of++; s.of >= s.Senders {
			s.of = 0
		}
		s.stamp.Claim = check.Claim{Of: s.of, Count: s.Past.Of(s.of)}
	}
	s.stamp.Put(s.buf)
	return s.buf
}

// Sent returns how many messages of this phase have been made.
func (s *Source) Sent() uint64 { return s.stamp.Seq - s.After }
