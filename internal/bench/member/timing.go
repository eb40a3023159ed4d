package member

import "cohort/order"

// Timing is what is taken as a message's latency, from when it was due.
type Timing string

// Timings. The last two need no clock but the sender's.
const (
	OneWay       Timing = "one way"       // to its delivery at each member but the sender
	RoundTrip    Timing = "round trip"    // to the delivery at the sender of an answer like it, by the next member
	SelfDelivery Timing = "self-delivery" // to its delivery at the sender
)

// TimingOf returns the timing of a level for members that read one clock or, apart, do
// not. A safe message comes back to its sender only when a majority has told that it
// holds it: a way there and back. Any other may be delivered at its sender at once, so
// it is answered.
func TimingOf(level string, apart bool) Timing {
	if !apart {
		return OneWay
	}
	if l, err := order.Parse(level); err == nil && l.IsSafe() {
		return SelfDelivery
	}
	return RoundTrip
}

// Answerer is a Medium that can answer: Row.Timing may be RoundTrip.
type Answerer interface {
	// Answer sends a message, which is the caller's again when it returns, to all
	// members, at the level of the row. It is only called inside the Sink.
	Answer(message []byte) error
}
