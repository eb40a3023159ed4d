package member

import (
	"fmt"

	"cohort/internal/bench/clock"
	"cohort/internal/bench/load"
)

// answers has the phase, which has count messages of each sender, answer and wait for answers.
func (p *phase) answers(a Answerer, count int) {
	p.answerer = a
	if p.row.Self < p.row.Senders {
		p.wanted = count
	}
}

// time takes from a delivered message what it tells of latency, or answers it.
func (p *phase) time(message []byte) {
	sender := load.From(message)
	switch p.row.Timing {
	case RoundTrip:
		if (sender+1)%p.row.Members == p.row.Self {
			p.reply(message)
		}
	case SelfDelivery:
		if sender == p.row.Self {
			p.record(message)
		}
	default:
		// A sender's delivery to itself crosses no network: it would flatter.
		if sender != p.row.Self {
			p.record(message)
		}
	}
}

func (p *phase) record(message []byte) {
	_ = p.hist.RecordValue(min(max(clock.Now()-load.Due(message), 1), maxLatency))
}

func (p *phase) reply(message []byte) {
	p.answer = append(p.answer[:0], message...)
	load.MarkEcho(p.answer)
	if err := p.answerer.Answer(p.answer); err != nil && p.failed == nil {
		p.failed = err
	}
}

// echoed takes an answer. One of an earlier phase may come late at members that did
// not wait for it.
func (p *phase) echoed(message []byte) {
	if p.wanted == 0 || load.From(message) != p.row.Self || !load.OfRow(message, p.row.Number) {
		return
	}
	p.record(message)
	p.echoes++
	p.progress.Store(p.count + uint64(p.echoes))
	p.finish()
}

// unanswered returns why answers are missing. It is for when the phase is over.
func (p *phase) unanswered() error {
	switch {
	case p.failed != nil:
		return fmt.Errorf("answer: %w", p.failed)
	case p.echoes != p.wanted:
		return fmt.Errorf("%d of %d messages were answered", p.echoes, p.wanted)
	}
	return nil
}
