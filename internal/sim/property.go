package sim

import (
	"fmt"

	"cohort/order"
)

// Property is one promise of the engine in a view that stays as it was formed.
type Property struct {
	Name      string
	Means     string
	Reference string

	// delivered says what is wrong with the delivery of m at member, which is
	// not noted yet; "" if nothing is.
	delivered func(h *History, member int, m *Message) string
	// ended calls h.fail if the finished run breaks the property.
	ended func(h *History)
}

// The works that the properties are taken from.
const (
	survey = "Chockler, Keidar & Vitenberg, Group Communication Specifications: A Comprehensive Study (2001)"
	isis   = "Birman & Joseph, Reliable Communication in the Presence of Failures (1987)"
	evs    = "Moser, Amir, Melliar-Smith & Agarwal, Extended Virtual Synchrony (1994)"
	totem  = "Amir, Moser, Melliar-Smith, Agarwal & Ciarfella, The Totem Single-Ring Ordering and Membership Protocol (1995)"
	matrix = "Wuu & Bernstein, Efficient Solutions to the Replicated Log and Dictionary Problems (1984)"
)

// Properties are all that is checked, in the order in which it is: the first
// that is broken names the violation. Integrity is checked where deliveries are
// told apart, the last ones where the driver and the network are.
var Properties = []Property{
	{Name: "Integrity", Reference: survey + ", Delivery Integrity",
		Means: "what is delivered was sent, by that sender, with that content, and was not aborted"},
	{Name: "NoDuplication", Reference: survey + ", No Duplication",
		Means: "no member delivers a message twice", delivered: noDuplication},
	{Name: "FIFO", Reference: survey + ", Reliable FIFO; " + isis + ", fbcast",
		Means: "messages of one sender are delivered in the order sent, whatever their levels, none left out", delivered: fifo},
	{Name: "Causal", Reference: survey + ", Reliable Causal; " + isis + ", cbcast",
		Means: "a causal or total message is delivered after all that its sender had delivered or sent before", delivered: causal},
	{Name: "Total", Reference: survey + ", Strong Total Order; " + isis + ", abcast",
		Means: "at any time, what one member delivered of the total messages is a prefix of what another did, or the other way round", delivered: total},
	{Name: "Safe", Reference: evs + ", Safe Delivery; uniform by majority",
		Means: "when a safe message is delivered anywhere, a majority of the view (for safe-all: every member) holds its packets, those of all that its order puts before it, and the records that say so", delivered: safe},
	{Name: "OneHolder", Reference: totem + ", token",
		Means: "no two ordering records have the same place in the chain"},
	{Name: "HonestRows", Reference: matrix,
		Means: "no member claims in a row to have packets that it was not handed"},
	{Name: "SelfDelivery", Reference: survey + ", Self Delivery",
		Means: "a message that others deliver is delivered by its sender", ended: selfDelivery},
	{Name: "SameViewDelivery", Reference: survey + ", Virtual Synchrony, within one view",
		Means: "all members deliver the same set of messages", ended: sameViewDelivery},
	{Name: "Liveness", Reference: survey + ", Termination of Delivery",
		Means: "once the faults have stopped, everything submitted and not aborted is delivered", ended: liveness},
	{Name: "Prompt", Reference: "the times of package flowctl",
		Means: "while something is to be delivered, progress waits for no timer that it need not wait for, least of all for a heartbeat"},
	{Name: "Understood", Reference: "core.Stats",
		Means: "no member finds fault with an intact packet of another"},
	{Name: "BoundedMemory", Reference: "the limits of Config.HoldLimit and the windows",
		Means: "a member's slabs stay below a bound however slow its program is, and are free once all is delivered everywhere"},
	{Name: "NoOverrun", Reference: "the windows of package flowctl",
		Means: "where no member pauses, a network without faults overflows no socket buffer, however slow a program"},
	{Name: "NoPanic", Reference: "core.Machine.Receive",
		Means: "no packet and no call makes a machine panic"},
	{Name: "NoSpin", Reference: "core.Machine.Deadline",
		Means: "a machine with nothing to do does not ask for turns"},
	{Name: "Quiet", Reference: "core.Machine.Deadline",
		Means: "an idle view sends heartbeats, and nothing else"},
}

func noDuplication(_ *History, member int, m *Message) string {
	if m.by>>member&1 != 0 {
		return "again"
	}
	return ""
}

func fifo(h *History, member int, m *Message) string {
	next := h.at[member].index[m.Sender]
	if m.Index < next {
		return fmt.Sprintf("after %v", h.sent[m.Sender][next-1])
	}
	for _, skipped := range h.sent[m.Sender][next:m.Index] {
		if !skipped.aborted {
			return fmt.Sprintf("before %v", skipped)
		}
	}
	return ""
}

func causal(h *History, member int, m *Message) string {
	if m.Level.Order() < order.Causal {
		return ""
	}
	for k, past := range m.past {
		if k == m.Sender { // FIFO
			continue
		}
		for i := h.at[member].index[k]; i < past; i++ {
			if missing := h.sent[k][i]; !missing.aborted {
				return fmt.Sprintf("before %v, which %d had delivered when it sent this", missing, m.Sender)
			}
		}
	}
	return ""
}

// total also lengthens the order, if the message is the first to come to its place.
func total(h *History, member int, m *Message) string {
	if m.Level.Order() != order.Total {
		return ""
	}
	at := h.at[member].total
	if at < len(h.order) {
		if other := h.order[at].m; other != m {
			return fmt.Sprintf("as number %d of the total order, elsewhere that is %v", at, other)
		}
		return ""
	}
	need := m.need()
	if at > 0 {
		order.Raise(need, h.order[at-1].need)
	}
	h.order = append(h.order, place{m, need})
	return ""
}

// need is, per sender, the last packet that carries the message or its past.
func (m *Message) need() []uint64 {
	need := append([]uint64(nil), m.pastPkt...)
	if m.Level.Order() < order.Causal {
		clear(need)
	}
	need[m.Sender] = m.packet
	return need
}

func safe(h *History, member int, m *Message) string {
	if !m.Level.IsSafe() {
		return ""
	}
	need, enough := m.need(), h.n/2+1
	if m.Level.Order() == order.Total {
		need = h.order[h.at[member].total].need
		if why := h.records.raise(need, m); why != "" {
			return why
		}
	}
	if m.Level.IsSafeAll() {
		enough = h.n
	}
	for k, packet := range need {
		if holders := h.holders(k, packet); holders < enough {
			return fmt.Sprintf("with its past in packets %d, but only %d of %d members hold packet %d of %d", need, holders, h.n, packet, k)
		}
	}
	return ""
}

// holders counts the members that hold all packets of a sender up to this one.
func (h *History) holders(sender int, packet uint64) int {
	count := 0
	for member := range h.at {
		if member == sender || h.at[member].hold[sender].upto >= packet {
			count++
		}
	}
	return count
}

func (h *History) everyone() uint16 { return 1<<h.n - 1 }

// left calls visit for the messages that some members have not delivered.
func (h *History) left(visit func(m *Message)) {
	for _, messages := range h.sent {
		for _, m := range messages {
			if !m.aborted && m.by != h.everyone() {
				visit(m)
			}
		}
	}
}

func selfDelivery(h *History) {
	h.left(func(m *Message) {
		if m.by != 0 && m.by>>m.Sender&1 == 0 {
			h.fail("SelfDelivery", m.Sender, "%v was delivered by %s, not by its sender", m, members(m.by))
		}
	})
}

func sameViewDelivery(h *History) {
	h.left(func(m *Message) {
		if m.by != 0 {
			h.fail("SameViewDelivery", m.Sender, "%v was delivered by %s only", m, members(m.by))
		}
	})
}

func liveness(h *History) {
	h.left(func(m *Message) {
		h.fail("Liveness", m.Sender, "%v was not delivered by anyone; wholly submitted %t", m, m.done)
	})
}

// members lists the ranks in a bit set.
func members(set uint16) string {
	var ranks []int
	for i := range MaxMembers {
		if set>>i&1 != 0 {
			ranks = append(ranks, i)
		}
	}
	return fmt.Sprint(ranks)
}
