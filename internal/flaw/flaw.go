// Package flaw names deliberate defects of the protocol. The simulator's
// checker must catch each of them: a checker that passes a broken protocol
// proves nothing. Being internal, no program that embeds the engine can ask
// for one.
package flaw

// Set is a set of flaws; the zero Set is the correct protocol.
type Set uint32

// The flaws.
const (
	SafeTooEarly        Set = 1 << iota // safe messages are delivered on receipt
	SafeIgnoresPast                     // safe looks at the packet, not at its causal past
	CausalUnchecked                     // causal messages are delivered without their past
	TotalOnReceipt                      // total messages are delivered as received, records ignored
	RecordsUnordered                    // records are applied in order of arrival
	CutIgnoresCausality                 // the token holder orders messages whose past it lacks
	TwoHolders                          // a holder goes on ordering after it passed the token on
	GapSkipped                          // a missing packet is passed over instead of repaired
	DuplicatesDelivered                 // a packet that comes twice is delivered twice
	NoRepair                            // repair requests are not answered
	ReleasedTooEarly                    // packets are forgotten before all have them

	// Of the end of a view.
	NotFrozen        // a member goes on sending and delivering after it has reported its row
	CutByMinimum     // the cut is what all have, not what any has
	AcceptedIgnored  // a new leader proposes afresh, whatever has been accepted
	AcceptsUnfetched // a member accepts a cut before it holds it
	AnyHalf          // half of the view goes on without its oldest member
	PromiseForgotten // a member answers leaders of lower ballots than it has promised
	TailByArrival    // what no record orders is delivered in each member's own order
	InstallsAlone    // a leader installs its proposal without waiting for others to accept
	end

	firstOfChange = NotFrozen
)

// All lists the flaws that show while the view stays, to range over.
func All() []Set { return list(1, firstOfChange) }

// OfChange lists those that show only when a view ends.
func OfChange() []Set { return list(firstOfChange, end) }

func list(from, end Set) (all []Set) {
	for f := from; f < end; f <<= 1 {
		all = append(all, f)
	}
	return all
}

var names = []string{"SafeTooEarly", "SafeIgnoresPast", "CausalUnchecked", "TotalOnReceipt", "RecordsUnordered",
	"CutIgnoresCausality", "TwoHolders", "GapSkipped", "DuplicatesDelivered", "NoRepair", "ReleasedTooEarly",
	"NotFrozen", "CutByMinimum", "AcceptedIgnored", "AcceptsUnfetched", "AnyHalf", "PromiseForgotten", "TailByArrival", "InstallsAlone"}

// String names a single flaw, or "none".
func (s Set) String() string {
	for i, n := range names {
		if s == 1<<i {
			return n
		}
	}
	if s == 0 {
		return "none"
	}
	return "several"
}

// Has tells whether f is in the set.
func (s Set) Has(f Set) bool { return s&f != 0 }
