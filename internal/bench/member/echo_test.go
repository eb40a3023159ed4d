package member

import (
	"errors"
	"slices"
	"testing"

	"cohort/internal/bench/clock"
	"cohort/internal/bench/load"
)

// answers notes what is answered.
type answers struct {
	all [][]byte
	err error
}

func (a *answers) Answer(b []byte) error {
	a.all = append(a.all, slices.Clone(b))
	return a.err
}

func newTimed(t Timing, self int, a Answerer, count int) *phase {
	p := newTestPhase("cbcast", Paced, self)
	p.row.Timing = t
	p.answers(a, count)
	return p
}

func over(p *phase) bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// TestRoundTrip: the next member answers, the sender takes the time, a third one
// nothing, and nobody takes an answer for a message.
func TestRoundTrip(t *testing.T) {
	var a answers
	next, third, sender := newTimed(RoundTrip, 1, &a, 1), newTimed(RoundTrip, 2, &a, 1), newTimed(RoundTrip, 0, &a, 1)
	sender.row.Senders, next.row.Senders, third.row.Senders = 1, 1, 1
	next.wanted = 0 // it sends nothing
	m := message(load.Stamp{Seq: 1, Row: 1, Due: clock.Now() - 1e6, Last: true})
	for _, p := range []*phase{next, third, sender} {
		p.deliver(0, m)
	}
	if len(a.all) != 1 {
		t.Fatalf("%d answers, want 1", len(a.all))
	}
	if over(sender) || !over(next) || !over(third) {
		t.Errorf("over: sender %v, others %v and %v; want all but the sender, which waits for the answer", over(sender), over(next), over(third))
	}
	for _, p := range []*phase{next, third, sender} {
		p.deliver(1, a.all[0])
		want := int64(0)
		if p == sender {
			want = 1
		}
		if n := p.hist.TotalCount(); n != want || p.count != 1 || p.log.Breach() != nil {
			t.Errorf("member %d: %d latencies of %d messages, breach %v; want %d of 1", p.row.Self, n, p.count, p.log.Breach(), want)
		}
	}
	if at := sender.hist.Max(); !over(sender) || at < 1e6 {
		t.Errorf("over %v, latency %d ns; want 1 ms or more", over(sender), at)
	}
	if err := sender.unanswered(); err != nil {
		t.Error(err)
	}
}

func TestMissingAnswersAreTold(t *testing.T) {
	p := newTimed(RoundTrip, 0, &answers{}, 3)
	if err := p.unanswered(); err == nil {
		t.Error("no answer came, and that is well")
	}
	none := errors.New("no room")
	p = newTimed(RoundTrip, 1, &answers{err: none}, 0)
	p.deliver(0, message(load.Stamp{Seq: 1, Row: 1}))
	if err := p.unanswered(); !errors.Is(err, none) {
		t.Errorf("error %v, want %v", err, none)
	}
}

func TestSelfDelivery(t *testing.T) {
	p := newTestPhase("safe-abcast", Paced, 0)
	p.row.Timing = SelfDelivery
	p.deliver(0, message(load.Stamp{Seq: 1, Row: 1}))
	p.deliver(1, message(load.Stamp{Seq: 1, Row: 1, Sender: 1}))
	if n := p.hist.TotalCount(); n != 1 {
		t.Errorf("%d latencies recorded, want that of the own message", n)
	}
}

func TestTimingOf(t *testing.T) {
	for level, want := range map[string]Timing{Raw: RoundTrip, "fbcast": RoundTrip, "abcast": RoundTrip, "safe-fbcast": SelfDelivery, "safe-abcast": SelfDelivery} {
		if got := TimingOf(level, true); got != want || TimingOf(level, false) != OneWay {
			t.Errorf("%s: %q apart, want %q; %q together", level, got, want, TimingOf(level, false))
		}
	}
}
