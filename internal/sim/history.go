package sim

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"cohort/core"
	"cohort/order"
)

// Violation is a property that did not hold.
type Violation struct {
	Property string
	Member   int   // where it showed
	Time     int64 // virtual ns since the run began
	Detail   string
}

func (v *Violation) Error() string {
	return fmt.Sprintf("%s at member %d after %v: %s", v.Property, v.Member, time.Duration(v.Time), v.Detail)
}

// Message is one message of a run, with what an all-knowing observer knows of it.
type Message struct {
	Sender int
	Index  int // among the sender's messages, from 0
	Level  order.Level
	Group  uint32
	Size   int

	chain   int
	abort   bool // to be aborted if that comes about
	begun   bool // first submitted: its past is fixed
	done    bool // wholly submitted
	aborted bool

	past    []int    // per sender: messages up to here were delivered at the sender, or sent by it, before
	pastPkt []uint64 // the same in packets
	packet  uint64   // number of the packet that ended it; 0: not delivered yet
	by      uint16   // bit per member that delivered it
}

// tiny is the size below which a payload cannot name its message; its group does.
const tiny = 4

// groupOfTiny is added to the index of a tiny message to make its group.
const groupOfTiny = 1 << 20

func (m *Message) String() string {
	if m == nil {
		return "what was never sent"
	}
	return fmt.Sprintf("%d.%d (%v, %d B)", m.Sender, m.Index, m.Level, m.Size)
}

func (m *Message) header() core.Message {
	return core.Message{Group: m.Group, Kind: m.kind(), Level: m.Level, Size: m.Size}
}

func (m *Message) kind() uint8 { return uint8(m.Index % (core.MaxKind + 1)) }

// answers tells whether the program of the member with this rank answers the
// message: about two of the others do, whatever their number.
func (m *Message) answers(rank int) bool {
	return rank != m.Sender && (rank+m.Index+m.Sender)%4 < 2
}

// answer is the operation that answers the message. Safe levels stay safe.
func (m *Message) answer(segment int) Op {
	return Op{
		Kind: Send, Count: 1, Level: m.Level, Group: m.Group % 8, Chain: m.chain - 1,
		Size: (m.Size*7 + m.Index*13) % (segment / 2),
	}
}

// noise is what payloads are made of: each message's is the noise from another
// place on, after its index.
var noise = func() []byte {
	b := make([]byte, 1<<16)
	dice := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(dice.Uint32())
	}
	return b
}()

func (m *Message) start() int { return (m.Sender*7919 + m.Index*104729) % len(noise) }

// payload returns the message's payload, in b's memory if that is enough.
func (m *Message) payload(b []byte) []byte {
	var index [tiny]byte
	binary.LittleEndian.PutUint32(index[:], uint32(m.Index))
	b = append(b[:0], index[:min(tiny, m.Size)]...)
	for at := m.start(); len(b) < m.Size; at = 0 {
		b = append(b, noise[at:min(len(noise), at+m.Size-len(b))]...)
	}
	return b
}

// holding is what one member holds of one stream.
type holding struct {
	upto  uint64 // has all packets up to here,
	ahead map[uint64]bool
}

func (h *holding) add(number uint64) {
	if number != h.upto+1 {
		if number > h.upto {
			if h.ahead == nil {
				h.ahead = map[uint64]bool{}
			}
			h.ahead[number] = true
		}
		return
	}
	for h.upto++; h.ahead[h.upto+1]; h.upto++ {
		delete(h.ahead, h.upto+1)
	}
}

// place is a place in the total order.
type place struct {
	m    *Message
	need []uint64 // packets up to here carry this message, all ordered before it, and their pasts
}

// progress is how far one member has come.
type progress struct {
	index  []int    // per sender: messages up to here were delivered or aborted
	packet []uint64 // the same in packets
	total  int      // messages delivered of the total order
	hold   []holding
}

// History is what happened in a run, seen by an observer who knows everything.
// It stops at the first violation.
type History struct {
	n         int
	now       func() int64
	violation *Violation
	only      string       // the one property that is checked; "": all
	sent      [][]*Message // per sender, by index
	at        []progress   // per member
	order     []place      // the total order, as the first to deliver each place found it
	records   records
	owed      int // deliveries that are still to come
	submitted int
	aborted   int
	delivered int
	last      int64 // time of the last delivery
	digest    hash.Hash64
}

// NewHistory returns the empty history of n members; now is the virtual time.
func NewHistory(n int, now func() int64) *History {
	h := &History{n: n, now: now, sent: make([][]*Message, n), at: make([]progress, n), digest: fnv.New64a()}
	for i := range h.at {
		h.at[i] = progress{index: make([]int, n), packet: make([]uint64, n), hold: make([]holding, n)}
	}
	return h
}

func (h *History) fail(property string, member int, format string, args ...any) {
	if h.violation == nil && (h.only == "" || h.only == property) {
		h.violation = &Violation{property, member, h.now() - started, fmt.Sprintf(format, args...)}
	}
}

// Accept makes a message that the program of a member sends.
func (h *History) Accept(sender int, op Op) *Message {
	m := &Message{
		Sender: sender, Index: len(h.sent[sender]), Level: op.Level, Group: op.Group, Size: op.Size,
		chain: op.Chain, abort: op.Abort,
	}
	if m.Size < tiny {
		m.Group = groupOfTiny + uint32(m.Index)
	}
	h.sent[sender] = append(h.sent[sender], m)
	h.owed += h.n
	h.submitted++
	return m
}

// Begin notes that the machine is first offered the message: what its sender
// has delivered by now is its past, as is all that it sent before.
func (h *History) Begin(m *Message) {
	p := &h.at[m.Sender]
	m.begun = true
	m.past = append([]int(nil), p.index...)
	m.pastPkt = append([]uint64(nil), p.packet...)
	m.past[m.Sender] = m.Index
}

// Complete notes that the machine has all of the message.
func (h *History) Complete(m *Message) { m.done = true }

// Abort notes that the message was given up: nobody may deliver it.
func (h *History) Abort(m *Message) {
	m.aborted = true
	h.owed -= h.n
	h.submitted--
	h.aborted++
}

// Hold notes that a member was handed a packet intact.
func (h *History) Hold(member, sender int, number uint64) {
	h.at[member].hold[sender].add(number)
}

// Deliver holds a delivery against every property and notes it. It returns the
// message, nil if there is none that it can be.
func (h *History) Deliver(member int, d *core.Delivery) *Message {
	m, why := h.identify(d)
	if why != "" {
		h.fail("Integrity", member, "%s", why)
		return m
	}
	if m.packet == 0 {
		m.packet = d.Packet
	}
	for _, p := range Properties {
		if p.delivered == nil {
			continue
		}
		if why := p.delivered(h, member, m); why != "" {
			h.fail(p.Name, member, "%v is delivered: %s", m, why)
			return m
		}
	}
	h.note(member, m)
	return m
}

// note advances the member past the message.
func (h *History) note(member int, m *Message) {
	p := &h.at[member]
	p.index[m.Sender], p.packet[m.Sender] = m.Index+1, m.packet
	if m.Level.Order() == order.Total {
		p.total++
	}
	m.by |= 1 << member
	h.owed--
	h.delivered++
	h.last = h.now()
	var b [24]byte
	binary.LittleEndian.PutUint64(b[:], uint64(member))
	binary.LittleEndian.PutUint64(b[8:], uint64(m.Sender))
	binary.LittleEndian.PutUint64(b[16:], uint64(m.Index))
	h.digest.Write(b[:])
	binary.LittleEndian.PutUint64(b[:], uint64(h.last))
	h.digest.Write(b[:8])
}

// identify finds the message that is being delivered, and says what is wrong if
// it is not what was sent.
func (h *History) identify(d *core.Delivery) (m *Message, why string) {
	if d.Sender < 0 || d.Sender >= h.n {
		return nil, fmt.Sprintf("delivered from rank %d of %d", d.Sender, h.n)
	}
	index := int(d.Group) - groupOfTiny
	if len(d.Payload) >= tiny {
		index = int(binary.LittleEndian.Uint32(d.Payload))
	}
	if index < 0 || index >= len(h.sent[d.Sender]) {
		return nil, fmt.Sprintf("delivered from %d what looks like its message %d, which was never sent", d.Sender, index)
	}
	m = h.sent[d.Sender][index]
	switch {
	case !m.done:
		return m, fmt.Sprintf("%v is delivered, but was not wholly submitted; aborted %t", m, m.aborted)
	case d.Group != m.Group || d.Kind != m.kind() || d.Level != m.Level:
		return m, fmt.Sprintf("%v is delivered with group %d, kind %d, level %v, want %d, %d", m, d.Group, d.Kind, d.Level, m.Group, m.kind())
	case !m.matches(d.Payload):
		return m, fmt.Sprintf("%v is delivered with another payload, of %d B", m, len(d.Payload))
	case d.Packet == 0 || m.packet != 0 && d.Packet != m.packet:
		return m, fmt.Sprintf("%v is delivered as the end of packet %d, elsewhere of %d", m, d.Packet, m.packet)
	}
	return m, ""
}

// matches tells whether b is the message's payload.
func (m *Message) matches(b []byte) bool {
	if len(b) != m.Size {
		return false
	}
	if m.Size >= tiny && binary.LittleEndian.Uint32(b) != uint32(m.Index) {
		return false
	}
	b = b[min(len(b), tiny):]
	for at := m.start(); len(b) > 0; at = 0 {
		n := min(len(b), len(noise)-at)
		if !bytes.Equal(b[:n], noise[at:at+n]) {
			return false
		}
		b = b[n:]
	}
	return true
}

// end checks the properties of a finished run.
func (h *History) end() {
	for _, p := range Properties {
		if p.ended != nil && h.violation == nil {
			p.ended(h)
		}
	}
}
