package chaos

import (
	"fmt"
	"iter"
	"maps"
	"slices"

	"cohort/order"
)

// Violation is a property that did not hold.
type Violation struct {
	Property string
	Detail   string
}

func (v Violation) Error() string { return v.Property + ": " + v.Detail }

// Properties names what is checked.
var Properties = []string{
	"SelfInclusion", "LocalMonotonicity", "PrimaryComponent", "Integrity", "NoDuplication", "SelfDelivery",
	"SameViewDelivery", "VirtualSynchrony", "FIFO", "Causal", "Total", "Safe", "StateTransfer", "Liveness",
}

// Summary is what a check has seen.
type Summary struct {
	Sent, Delivered, Views, Rings, Restores, Expelled, Blocked, Compared int
}

// message is one message that its sender has at least tried to send.
type message struct {
	tried bool
	epoch uint64
	past  []mark   // beyond that of the causal message before it from the same thread
	id    uint64   // of its sender, as it was delivered
	in    ringView // that it was delivered in, where that is known
}

// mark is a place in a sender's sequence.
type mark struct {
	from sender
	num  uint32
}

// ringView is a view of the ring, of one epoch of the group.
type ringView struct {
	key   uint64
	epoch uint64
}

// place is the state at which members go on together.
type place struct {
	who   string
	state state
}

// safes is the safe messages that were delivered in a view of the ring.
type safes struct {
	last map[sender]safe
	link safe // the last of the total order: its place in the chain
}

type safe struct {
	who   string
	num   uint32
	at    uint64
	chain uint64
}

// binding is a place that binds all who come to it: the beginning of a view of the
// ring or, with its number, of a view of the group that follows from a failure.
type binding struct {
	ringView
	num uint64
}

// history is all journals together.
type history struct {
	names    []string
	journals []iter.Seq[Record]
	process  map[uint64]int               // who has had this ID
	messages [][threads][]message         // of a process's threads, by number
	first    map[sender]map[uint64]uint32 // of each epoch: the first number delivered
	rings    map[[2]uint64]uint64         // keys, by ring and number
	chains   map[uint64]map[uint64]uint64 // of each epoch: the hash at each place
	places   map[binding]*place
	safes    map[ringView]*safes
	went     map[ringView]map[ringView]bool // where who was there went
	given    map[uint64]bool                // digests of states given
	ends     []place                        // of those who took part to the end
	found    map[string][]string
	summary  Summary
}

// Check holds journals, by name of their process, against the properties. The name
// of process k is nameOf(k). It returns the first few violations of each property.
func Check(journals map[string]iter.Seq[Record]) ([]Violation, Summary) {
	h := &history{
		process: map[uint64]int{}, first: map[sender]map[uint64]uint32{}, rings: map[[2]uint64]uint64{},
		chains: map[uint64]map[uint64]uint64{}, places: map[binding]*place{}, safes: map[ringView]*safes{},
		went: map[ringView]map[ringView]bool{}, given: map[uint64]bool{}, found: map[string][]string{},
	}
	h.names = slices.SortedFunc(maps.Keys(journals), func(a, b string) int { return processOf(a) - processOf(b) })
	for _, name := range h.names {
		h.journals = append(h.journals, journals[name])
	}
	for i := range h.names {
		h.messages = append(h.messages, [threads][]message{})
		newReader(h, i).sends()
	}
	for i := range h.names {
		newReader(h, i).judge()
	}
	h.uniform()
	h.alive()
	return h.violations(), h.summary
}

// most is how many violations of one property are told.
const most = 5

func (h *history) fail(property, format string, args ...any) {
	if list := h.found[property]; len(list) < most {
		h.found[property] = append(list, fmt.Sprintf(format, args...))
	}
}

func (h *history) violations() (list []Violation) {
	for _, p := range Properties {
		for _, d := range h.found[p] {
			list = append(list, Violation{p, d})
		}
	}
	return list
}

// by returns the message with this number of a member's thread, by the sender of its
// process: numbers go on from incarnation to incarnation.
func (h *history) by(m mark) *message {
	p, ok := h.process[m.from.id]
	if !ok {
		return nil
	}
	list := h.messages[p][m.from.thread%threads]
	if int(m.num) >= len(list) || !list[m.num].tried {
		return nil
	}
	return &list[m.num]
}

// reader goes through one journal.
type reader struct {
	h    *history
	who  string
	self int // index of the process
	list iter.Seq[Record]

	state  state
	in     bool // a member of the group
	queued bool
	id     uint64 // its own
	ring   ringView
	num    uint64 // of the ring's view
	ringID uint64
	// exact: what it is handed now belongs to the ring's view that it sees now. It
	// does not while messages are handed to it that were kept during a restore; that
	// is over when the first message comes back that it has sent since.
	exact    bool
	restored bool     // the next view belongs to the state restored
	links    []uint64 // of the chain, since the last place that binds
	at       uint64   // length of the chain before those
	accepted [threads]uint32
	tried    [threads]uint32 // since it came in
	past     [threads]map[sender]uint32
	pending  [threads]map[sender]uint32
}

func newReader(h *history, i int) *reader {
	r := &reader{h: h, who: h.names[i], self: i, list: h.journals[i], state: newState(0)}
	for t := range threads {
		r.past[t], r.pending[t] = map[sender]uint32{}, map[sender]uint32{}
	}
	return r
}

// sends finds out what was sent, and after what.
func (r *reader) sends() {
	for rec := range r.list {
		switch rec.Kind {
		case Ring:
			if len(rec.Args) == 2 {
				r.h.process[rec.Args[1]] = r.self
			}
		case View:
			if rec.Flags&FlagFresh != 0 {
				r.state = newState(rec.ID)
				r.forgetPast()
			}
		case Restore:
			r.state, _ = restored(rec)
			r.forgetPast()
			for from, num := range r.state.last {
				r.after(from, num)
			}
		case Snapshot:
			r.h.given[rec.ID] = true
		case Deliver:
			r.after(sender{rec.ID, rec.Thread}, rec.Num)
		case Try:
			r.try(rec)
		case Sent:
			r.sent(rec)
		}
	}
}

func (r *reader) forgetPast() {
	for t := range threads {
		clear(r.past[t])
		clear(r.pending[t])
	}
}

// after notes that what is sent from now on comes after this message.
func (r *reader) after(from sender, num uint32) {
	for t := range threads {
		r.past[t][from] = num
	}
}

func (r *reader) try(rec Record) {
	t := rec.Thread % threads
	m := message{tried: true, epoch: r.state.epoch}
	if rec.Level.Order() >= order.Causal {
		maps.Copy(r.pending[t], r.past[t])
		clear(r.past[t])
		for from, num := range r.pending[t] {
			m.past = append(m.past, mark{from, num})
		}
	}
	list := &r.h.messages[r.self][t]
	for int(rec.Num) >= len(*list) {
		*list = append(*list, message{})
	}
	(*list)[rec.Num] = m
}

func (r *reader) sent(rec Record) {
	r.h.summary.Sent++
	list := r.h.messages[r.self][rec.Thread%threads]
	if int(rec.Num) < len(list) && list[rec.Num].past != nil {
		clear(r.pending[rec.Thread%threads])
	}
}

// judge holds what one member was handed against the properties.
func (r *reader) judge() {
	for rec := range r.list {
		switch rec.Kind {
		case Session:
			r.comeIn()
			r.queued, r.id, r.ringID, r.num = rec.Flags&FlagQueued != 0, 0, 0, 0
		case Ring:
			r.goTo(&rec)
		case View:
			r.view(&rec)
		case Restore:
			r.restore(&rec)
		case Deliver:
			r.deliver(&rec)
		case Try:
			r.tried[rec.Thread%threads] = max(r.tried[rec.Thread%threads], rec.Num)
		case Sent:
			if t := rec.Thread % threads; r.tried[t] >= rec.Num { // else before it was expelled
				r.accepted[t] = rec.Num
			}
		case Broken:
			r.fail("Integrity", "is handed a message that is not what was sent: %v", rec)
		case End:
			r.end()
		}
	}
}

func (r *reader) fail(property, format string, args ...any) {
	r.h.fail(property, "%s, view %d of the group and %d of the ring, at %d of the order: %s", r.who, r.state.view, r.num, r.state.length, fmt.Sprintf(format, args...))
}

// comeIn begins a time in the group.
func (r *reader) comeIn() {
	r.state, r.in, r.exact, r.restored = newState(0), false, false, false
	r.links, r.at = nil, 0
	r.tried, r.accepted = [threads]uint32{}, [threads]uint32{}
}

// goTo takes a view of the ring.
func (r *reader) goTo(rec *Record) {
	if len(rec.Args) != 2 {
		return
	}
	h := r.h
	h.summary.Rings++
	ring, id := rec.Args[0], rec.Args[1]
	if ring == r.ringID && id == r.id && uint64(rec.Num) <= r.num {
		r.fail("LocalMonotonicity", "goes to view %d of the ring", rec.Num)
	}
	name := [2]uint64{ring, uint64(rec.Num)}
	if key, known := h.rings[name]; known && key != rec.ID {
		r.fail("PrimaryComponent", "is in another view %d of ring %016x than others", rec.Num, ring)
	}
	h.rings[name] = rec.ID
	if id != r.id { // a new incarnation: the old one's group views are over
		r.exact = false
	}
	from := r.ring
	r.id, r.ringID, r.num, r.ring = id, ring, uint64(rec.Num), ringView{rec.ID, r.state.epoch}
	if !r.exact || from.epoch != r.state.epoch {
		return
	}
	if h.went[from] == nil {
		h.went[from] = map[ringView]bool{}
	}
	h.went[from][r.ring] = true
	r.bind(binding{ringView: r.ring}, "VirtualSynchrony")
}

// bind holds the state against that of the others who come to this place.
func (r *reader) bind(b binding, property string) {
	h := r.h
	p := h.places[b]
	if p == nil {
		s := r.state
		s.last = maps.Clone(s.last)
		h.places[b] = &place{r.who, s}
	} else {
		h.summary.Compared++
		if d := differ(&p.state, &r.state); d != "" {
			r.fail(property, "comes there together with %s, but %s", p.who, d)
		}
	}
	r.settle()
}

// differ says how two states do; "" if not.
func differ(a, b *state) string {
	for k, num := range a.last {
		if b.last[k] != num {
			return fmt.Sprintf("of thread %d of %016x that one has %d, this one %d", k.thread, k.id, num, b.last[k])
		}
	}
	for k, num := range b.last {
		if a.last[k] != num {
			return fmt.Sprintf("of thread %d of %016x that one has %d, this one %d", k.thread, k.id, a.last[k], num)
		}
	}
	if a.length != b.length || a.chain != b.chain {
		return fmt.Sprintf("the order is %d long with hash %016x there and %d with %016x here", a.length, a.chain, b.length, b.chain)
	}
	return ""
}

// settle holds the total order since the last place that binds against the others'.
func (r *reader) settle() {
	c := r.h.chains[r.state.epoch]
	if c == nil {
		c = map[uint64]uint64{}
		r.h.chains[r.state.epoch] = c
	}
	for i, hash := range r.links {
		at := r.at + uint64(i) + 1
		if other, known := c[at]; known && other != hash {
			r.fail("Total", "its order and that of others who go on differ from place %d on", at)
			break
		}
		c[at] = hash
	}
	r.links, r.at = r.links[:0], r.state.length
}

func (r *reader) link() { r.links = append(r.links, r.state.chain) }

// view takes a view of the group.
func (r *reader) view(rec *Record) {
	r.h.summary.Views++
	num := uint64(rec.Num)
	switch {
	case rec.Flags&FlagBlocked != 0:
		r.h.summary.Blocked++
		return
	case rec.Flags&FlagExpelled != 0:
		r.h.summary.Expelled++
		r.comeIn()
		return
	case rec.Flags&FlagDeparted != 0:
		r.depart()
		return
	case !r.queued && !slices.Contains(rec.Args, r.id):
		r.fail("SelfInclusion", "is in view %d of the group without itself", num)
	}
	if r.in && num != r.state.view+1 && !r.restored && rec.Flags&FlagFresh == 0 {
		r.fail("LocalMonotonicity", "goes to view %d of the group", num)
	}
	if rec.Flags&FlagFresh != 0 {
		r.begin(rec)
	}
	r.in = true
	if r.restored {
		if r.state.view != num {
			r.fail("StateTransfer", "its state belongs to view %d of the group, its first view is %d", r.state.view, num)
		}
		r.restored = false
		return
	}
	if rec.Flags&FlagFailure != 0 && rec.Flags&FlagFresh == 0 {
		r.bind(binding{ringView{0, r.state.epoch}, num}, "VirtualSynchrony")
	}
	r.state.goTo(num, rec.Args)
	r.link()
}

// begin begins an epoch: this member's state is the group's.
func (r *reader) begin(rec *Record) {
	r.state, r.restored = newState(rec.ID), false
	r.links, r.at = nil, 0
	r.ring.epoch = rec.ID
}

// depart is the end of a membership that this member has left.
func (r *reader) depart() {
	for t := range threads {
		if num, ok := r.state.last[sender{r.id, uint8(t)}]; ok && num != r.accepted[t] || !ok && r.accepted[t] != 0 {
			r.fail("SelfDelivery", "leaves with message %d of its thread %d, Send has taken up to %d", num, t, r.accepted[t])
		}
	}
	r.comeIn()
}

// restore takes a state from another member.
func (r *reader) restore(rec *Record) {
	r.h.summary.Restores++
	s, ok := restored(*rec)
	if !ok { // the end of a journal
		return
	}
	if !r.h.given[s.digest()] {
		r.fail("StateTransfer", "has restored a state that nobody has given: %d of the order, view %d of the group", s.length, s.view)
	}
	r.state, r.restored, r.exact, r.in = s, true, false, true
	r.links, r.at = nil, s.length
	r.ring.epoch = s.epoch
}

// deliver takes a message.
func (r *reader) deliver(rec *Record) {
	h, m := r.h, mark{sender{rec.ID, rec.Thread}, rec.Num}
	h.summary.Delivered++
	sent := h.by(m)
	if sent == nil {
		r.fail("Integrity", "is handed a message that nobody has sent: %v", rec)
		return
	}
	if sent.id != 0 && sent.id != rec.ID {
		r.fail("Integrity", "is handed %v, which others were handed from %016x", m, sent.id)
	}
	sent.id = rec.ID
	r.sequence(m)
	if rec.Level.Order() >= order.Causal && sent.epoch == r.state.epoch {
		r.causal(m, sent)
	}
	r.state.has(m.from, m.num)
	if rec.Level.Order() == order.Total {
		r.state.total(m.from, m.num)
		r.link()
	}
	if rec.ID == r.id && !r.exact && r.tried[rec.Thread%threads] >= rec.Num {
		r.exact = !r.queued
		r.ring.epoch = r.state.epoch
	}
	if r.exact {
		r.inRing(rec, m, sent)
	}
}

// sequence holds a message against its sender's order.
func (r *reader) sequence(m mark) {
	last, known := r.state.last[m.from]
	switch {
	case known && m.num <= last:
		r.fail("NoDuplication", "is handed %v after %v of that", m, last)
	case known && m.num != last+1:
		r.fail("FIFO", "is handed %v after %v of that", m, last)
	case !known:
		f := r.h.first[m.from]
		if f == nil {
			f = map[uint64]uint32{}
			r.h.first[m.from] = f
		}
		if first, seen := f[r.state.epoch]; seen && first != m.num {
			r.fail("FIFO", "is handed %v first of that, others were %v", m, first)
		}
		f[r.state.epoch] = m.num
	}
}

func (m mark) String() string {
	return fmt.Sprintf("message %d of thread %d of %016x", m.num, m.from.thread, m.from.id)
}

func (r *reader) causal(m mark, sent *message) {
	for _, k := range sent.past {
		if r.state.last[k.from] < k.num {
			r.fail("Causal", "is handed %v after %d of thread %d of %016x, its sender had %d", m, r.state.last[k.from], k.from.thread, k.from.id, k.num)
			return
		}
	}
}

// inRing notes in which view of the ring a message was delivered, if that is known.
func (r *reader) inRing(rec *Record, m mark, sent *message) {
	h := r.h
	if sent.in.key != 0 && sent.in.key != r.ring.key && sent.in.epoch == r.ring.epoch {
		r.fail("SameViewDelivery", "is handed %v, which others were handed in another view of the ring", m)
	}
	sent.in = r.ring
	if !rec.Level.IsSafe() {
		return
	}
	s := h.safes[r.ring]
	if s == nil {
		s = &safes{last: map[sender]safe{}}
		h.safes[r.ring] = s
	}
	if s.last[m.from].num < m.num {
		s.last[m.from] = safe{who: r.who, num: m.num}
	}
	if rec.Level.Order() == order.Total && s.link.at < r.state.length {
		s.link = safe{r.who, m.num, r.state.length, r.state.chain}
	}
}

// end is that of the run.
func (r *reader) end() {
	for t := range threads {
		if num := r.state.last[sender{r.id, uint8(t)}]; r.accepted[t] != 0 && num != r.accepted[t] {
			r.fail("Liveness", "of its own thread %d message %d has come back, Send has taken up to %d", t, num, r.accepted[t])
		}
	}
	r.settle()
	r.h.ends = append(r.h.ends, place{r.who, r.state})
}

// uniform holds safe messages that somebody delivered in a view of the ring against
// what those had who went on from it.
func (h *history) uniform() {
	for v, s := range h.safes {
		for next := range h.went[v] {
			p := h.places[binding{ringView: next}]
			for from, m := range s.last {
				if p.state.last[from] < m.num {
					h.fail("Safe", "%s was handed %v in view %016x; its survivor %s has %d", m.who, mark{from, m.num}, v.key, p.who, p.state.last[from])
				}
			}
			if hash, known := h.chains[v.epoch][s.link.at]; s.link.at > p.state.length || known && hash != s.link.chain {
				h.fail("Safe", "%s was handed safe message %d at place %d of the order in view %016x; at its survivor %s that is another", s.link.who, s.link.num, s.link.at, v.key, p.who)
			}
		}
	}
}

// alive holds the members that took part to the end against each other.
func (h *history) alive() {
	for i := range h.ends {
		if a, b := &h.ends[0], &h.ends[i]; a.state.epoch != b.state.epoch {
			h.fail("Liveness", "%s and %s end in groups that began apart", a.who, b.who)
		} else if d := differ(&a.state, &b.state); d != "" {
			h.fail("Liveness", "%s and %s end with different states: %s", a.who, b.who, d)
		}
	}
}
