package check

import (
	"fmt"
	"strings"
)

// Kind is what went wrong.
type Kind string

// Kinds of breaches.
const (
	Missing        Kind = "missing"  // a later message of a sender came instead of the next
	Repeated       Kind = "repeated" // a message came again, or late
	CausalViolated Kind = "causal"   // a message came before its causal past
	TotalViolated  Kind = "total"    // two members delivered in different orders
	Undelivered    Kind = "undelivered"
	Unknown        Kind = "unknown member"
	Stale          Kind = "stale"         // a message of an earlier row
	Mangled        Kind = "mangled"       // the payload is not what was sent
	Misattributed  Kind = "misattributed" // the engine named another sender than the payload does
)

// Breach is a promise not kept, as one member saw it.
type Breach struct {
	Kind   Kind   `json:"kind"`
	Member int    `json:"member"` // rank of the member that saw it
	At     uint64 `json:"at"`     // place in that member's order
	Sender int    `json:"sender"` // of the message at fault
	Seq    uint64 `json:"seq"`
	About  int    `json:"about"` // causal: the member whose messages are missing
	Want   uint64 `json:"want"`
	Got    uint64 `json:"got"`
}

// String tells the breach in one sentence.
func (b *Breach) String() string {
	m := fmt.Sprintf("message %d of member %d", b.Seq, b.Sender)
	switch b.Kind {
	case Missing:
		return fmt.Sprintf("member %d delivered %s where message %d was next", b.Member, m, b.Want)
	case Repeated:
		return fmt.Sprintf("member %d delivered %s again or late: message %d was next", b.Member, m, b.Want)
	case CausalViolated:
		return fmt.Sprintf("member %d delivered %s, whose sender had delivered %d messages of member %d before it, after only %d of them",
			b.Member, m, b.Want, b.About, b.Got)
	case Mangled:
		return fmt.Sprintf("member %d delivered a message of member %d that is not what was sent", b.Member, b.Sender)
	case Undelivered:
		return fmt.Sprintf("member %d delivered %d of the %d messages of member %d", b.Member, b.Got, b.Want, b.Sender)
	case TotalViolated:
		return fmt.Sprintf("member %d and member %d delivered in different orders from place %d on", b.Member, b.About, b.At)
	}
	return fmt.Sprintf("member %d delivered %s: %s", b.Member, m, b.Kind)
}

// Format writes two histories beside each other, one delivery a line as
// sender:seq, with a mark where they differ. Names head the columns.
func Format(nameA string, a History, nameB string, b History) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%12s  %-16s %-16s\n", "place", nameA, nameB)
	end := max(a.From+uint64(len(a.Entries)), b.From+uint64(len(b.Entries)))
	for at := min(a.From, b.From); at < end; at++ {
		ta, tb := a.text(at), b.text(at)
		mark := ""
		if ta != tb {
			mark = " <"
		}
		fmt.Fprintf(&s, "%12d  %-16s %-16s%s\n", at, ta, tb, mark)
	}
	return s.String()
}

// String writes a history in one line, with the place of its first delivery.
func (h History) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "from place %d on:", h.From)
	for i := range h.Entries {
		fmt.Fprintf(&s, " %s", h.text(h.From+uint64(i)))
	}
	if len(h.Entries) == 0 {
		s.WriteString(" nothing, or nothing that is still kept")
	}
	return s.String()
}

func (h History) text(at uint64) string {
	if at < h.From || at-h.From >= uint64(len(h.Entries)) {
		return "-"
	}
	e := h.Entries[at-h.From]
	return fmt.Sprintf("%d:%d", e.Sender, e.Seq)
}
