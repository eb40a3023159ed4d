package member

import (
	"sync/atomic"
	"time"

	"cohort/internal/bench/check"
	"cohort/internal/bench/clock"
	"cohort/internal/bench/kernel"
	"cohort/internal/bench/load"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latencies are recorded in ns up to a minute, to three digits.
const (
	maxLatency = 60_000_000_000
	digits     = 3
)

// In a flood, counts are published each 32 deliveries, after the first 32: a published
// counter costs more than all other work on a message, and a claim may be a little old.
const floodMask = 32 - 1

// meter is where media deliver to. Phases follow each other in it.
type meter struct{ now atomic.Pointer[phase] }

func (m *meter) deliver(from int, message []byte) {
	if p := m.now.Load(); p != nil {
		p.deliver(from, message)
	}
}

// phase counts, times and checks the deliveries of one phase. Its plain fields
// belong to the delivering goroutine until done is closed or the media are.
type phase struct {
	row  Row
	log  *check.Log // of the row
	past *load.Past // of the row
	mask uint64     // publish when count&mask is 0, or count no more than it
	hist *hdrhistogram.Histogram

	count       uint64
	timed       uint64 // count at last
	first, last int64
	warm        time.Duration // not measured, from the first delivery on
	warming     uint64        // count at first
	warmed      kernel.Usage  // at first, once warm is over
	ended       int           // senders whose last message came
	echoes      int           // answers to own messages that came
	wanted      int           // of them, in the phase
	answerer    Answerer      // nil: nothing is answered
	answer      []byte        // memory of one
	failed      error         // of the first that could not be sent
	done        chan struct{} // closed when all senders' have, and all answers

	progress atomic.Uint64
}

func newPhase(row Row, how Phase, log *check.Log, past *load.Past) *phase {
	p := &phase{row: row, log: log, past: past, done: make(chan struct{})}
	if how.Kind == Flood {
		p.mask, p.warm = floodMask, how.Warm
	} else {
		p.hist = hdrhistogram.New(1, maxLatency, digits)
	}
	return p
}

func (p *phase) deliver(from int, message []byte) {
	if !load.Whole(message) {
		p.log.Stray(check.Mangled, from, 0)
		return
	}
	if load.IsEcho(message) {
		p.echoed(message)
		return
	}
	if p.count == 0 {
		p.first = clock.Now()
	}
	p.count++
	p.check(from, message)
	if p.hist != nil {
		p.time(message)
	}
	if last := load.Last(message); p.count&p.mask == 0 || p.count <= p.mask || last {
		p.publish(last)
	}
}

// check records the delivery. Raw's are recorded too, though it promises nothing and nobody
// looks: what the bench does with a message must cost the same at all levels.
func (p *phase) check(from int, message []byte) {
	sender, seq := load.From(message), load.Seq(message)
	switch {
	case !load.OfRow(message, p.row.Number):
		p.log.Stray(check.Stale, sender, seq)
	case from != sender:
		p.log.Stray(check.Misattributed, sender, seq)
	default:
		p.log.Delivered(from, seq, load.Claim(message))
	}
}

// publish makes the counts seen by the sending goroutine and the waiting one.
func (p *phase) publish(last bool) {
	p.last, p.timed = clock.Now(), p.count
	if p.warm > 0 && p.last-p.first >= int64(p.warm) {
		p.first, p.warming, p.warmed, p.warm = p.last, p.count, kernel.Self(), 0
	}
	for s := range p.row.Members {
		p.past.Set(s, p.log.Count(s))
	}
	p.progress.Store(p.count + uint64(p.echoes))
	if last {
		p.ended++
		p.finish()
	}
}

// until returns when the last delivery was. Where a sender's last message was lost, those
// after the last one that was timed are taken to have come as fast as those before.
func (p *phase) until() int64 {
	if p.timed == p.count {
		return p.last
	}
	return p.first + int64(float64(p.last-p.first)*float64(p.count-p.warming)/float64(max(p.timed-p.warming, 1)))
}

// finish tells if all has come. It is called when one more last message or answer has.
func (p *phase) finish() {
	if p.ended == p.row.Senders && p.echoes == p.wanted {
		close(p.done)
	}
}
