package churn

import (
	"container/heap"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"runtime/debug"
	"time"

	"cohort/core"
	"cohort/internal/flaw"
	"cohort/membership"
	"cohort/site"
	"cohort/slab"
)

const (
	started = int64(time.Hour) // when runs begin
	segment = 1472
	// settle bounds how long after the faults all must be well again, in
	// timeouts, and at least leastSettle ns.
	settle      = 100
	leastSettle = 3 * int64(time.Second)
	joinEvery   = 2 * int64(time.Millisecond) // how often an outsider looks for a way in
	joinFor     = 40                          // of those, after which it starts over
)

// Result is what a run came to.
type Result struct {
	Violation          *Violation
	Delivered, Changes int // messages, and views installed, at all processes
	Discarded          uint64
	Blocked, Expelled  int // times that a process was
	Left, Entered      int
	Stuck              bool  // too few survived for anybody to go on
	Time               int64 // virtual ns
}

type event struct {
	at   int64
	made uint64
	do   func()
}

type events struct {
	list []event
	made uint64
}

func (e *events) Len() int { return len(e.list) }
func (e *events) Less(i, j int) bool {
	a, b := &e.list[i], &e.list[j]
	return a.at < b.at || a.at == b.at && a.made < b.made
}
func (e *events) Swap(i, j int) { e.list[i], e.list[j] = e.list[j], e.list[i] }
func (e *events) Push(x any)    { e.list = append(e.list, x.(event)) }
func (e *events) Pop() any {
	last := len(e.list) - 1
	x := e.list[last]
	e.list[last] = event{}
	e.list = e.list[:last]
	return x
}

// process is one process, or what is left of it.
type process struct {
	w         *world
	number    int    // counts processes from 0; a rejoining one keeps it
	id        uint64 // of the present incarnation
	lives     int
	pool      *slab.Pool
	site      *site.Site
	in        *view
	dead      bool
	silenced  bool // dead, and what it had sent last is lost with it
	leaving   bool
	stalled   int64 // until
	inbox     []func()
	waiting   []*message
	offered   int // bytes of waiting[0] that the machine has
	offeredIn *view
	sent      []*message
	conns     map[*process]bool
	quiet     map[*process]int64 // per receiver: when its last letter arrives
	turnAt    int64
	tries     int // to join
}

func (p *process) String() string { return fmt.Sprintf("%d'%d", p.number, p.lives) }

type world struct {
	s      Scenario
	flaws  flaw.Set
	dice   dice
	now    int64
	events events
	all    []*process
	ids    map[uint64]*process
	cuts   []cut
	h      *history
	trace  io.Writer
	res    Result
	opsDue int
}

type cut struct {
	side  uint64
	until int64
}

// Run runs a scenario to its end or to the first violation. trace may be nil.
func Run(s Scenario, flaws flaw.Set, trace io.Writer) (res Result) {
	w := &world{s: s, flaws: flaws, now: started, ids: map[uint64]*process{}, h: newHistory(), trace: trace}
	w.dice = dice{rand.New(rand.NewPCG(s.Seed, 7))}
	defer func() {
		if r := recover(); r != nil {
			w.h.fail("NoPanic", "%v\n%s", r, debug.Stack())
			res = w.result()
		}
	}()
	w.begin()
	w.run()
	return w.result()
}

func (w *world) result() Result {
	w.h.end()
	w.res.Violation, w.res.Delivered, w.res.Changes = w.h.violation, w.h.delivered, w.h.changes
	w.res.Time = w.now - started
	return w.res
}

func (w *world) at(t int64, do func()) {
	w.events.made++
	heap.Push(&w.events, event{max(t, w.now), w.events.made, do})
}

func (w *world) say(format string, args ...any) {
	if w.trace != nil {
		fmt.Fprintf(w.trace, "%12v  %s\n", time.Duration(w.now-started), fmt.Sprintf(format, args...))
	}
}

// begin makes the first view and plans the operations.
func (w *world) begin() {
	v := membership.View{Ring: 1, Num: 1}
	for range w.s.Members {
		p := w.spawn()
		m := p.member()
		m.Joined = 1
		v.Members = append(v.Members, m)
	}
	for _, p := range w.all {
		for _, q := range w.all {
			if p != q {
				p.conns[q] = true
			}
		}
		p.enter(v)
		for _, q := range w.all {
			if p != q {
				p.site.Connected(w.now, q.id)
			}
		}
		p.wake(w.now)
	}
	w.opsDue = len(w.s.Ops)
	for _, o := range w.s.Ops {
		w.at(started+o.At, func() { w.opsDue--; w.operate(o) })
	}
}

func (w *world) spawn() *process {
	p := &process{w: w, number: len(w.all), turnAt: membership.Never}
	w.all = append(w.all, p)
	p.reborn()
	return p
}

// reborn makes p a new incarnation, outside of any view.
func (p *process) reborn() {
	p.lives++
	p.id = uint64(p.number)<<16 | uint64(p.lives) | 1<<32
	p.w.ids[p.id] = p
	p.pool = slab.NewPool()
	p.site, p.in, p.tries, p.offered, p.offeredIn = nil, nil, 0, 0, nil
	p.waiting, p.inbox = nil, nil
	p.conns, p.quiet = map[*process]bool{}, map[*process]int64{}
}

func (p *process) member() membership.Member {
	return membership.Member{
		ID: p.id, Since: p.w.now, Name: p.String(), RecvBuffer: 1 << 20, Segment: segment,
		Addr: netip.MustParseAddrPort("10.0.0.1:1"), Control: netip.MustParseAddrPort("10.0.0.1:1"),
	}
}

func (p *process) enter(v membership.View) {
	w := p.w
	s, err := site.New(w.now, site.Config{
		Core:  core.Config{HoldLimit: 1 << 20},
		Rules: membership.Rules{Timeout: w.s.Timeout, Flaws: w.flaws},
	}, v, p.id, p.pool)
	if err != nil {
		w.h.fail("NoPanic", "%v cannot enter view %d: %v", p, v.Num, err)
		return
	}
	p.site = s
	w.h.install(p, v)
	p.meet()
}

// meet connects p with the members of its view, now or as soon as that is possible.
func (p *process) meet() {
	w := p.w
	if p.site == nil || p.dead {
		return
	}
	id, again := p.id, false
	for _, m := range p.site.View().Members {
		q := w.ids[m.ID]
		if q == p || q.id != m.ID || q.dead || p.conns[q] {
			continue
		}
		if !w.apart(p, q) {
			w.connect(p, q)
		}
		again = true
	}
	if again {
		w.at(w.now+joinEvery, func() {
			if p.id == id {
				p.meet()
			}
		})
	}
}

// connect makes a connection, which both learn of a little later.
func (w *world) connect(p, q *process) {
	p.conns[q], q.conns[p] = true, true
	pid, qid := p.id, q.id
	w.post(p, q, func() { q.site.Connected(w.now, pid) })
	w.post(q, p, func() { p.site.Connected(w.now, qid) })
}

// post brings something from p to q over their connection, in order.
func (w *world) post(p, q *process, do func()) {
	at := w.now + w.s.Delay
	if w.s.Jitter > 0 {
		at += w.dice.Int64N(w.s.Jitter)
	}
	at = max(at, p.quiet[q])
	p.quiet[q] = at
	w.arrive(p, q, at, q.id, do)
}

// arrive lets it come at a time, or when the link has healed.
func (w *world) arrive(p, q *process, at int64, id uint64, do func()) {
	w.at(at, func() {
		switch {
		case q.id != id || q.dead:
		case w.apart(p, q):
			w.arrive(p, q, w.now+milli, id, do)
		default:
			q.take(func() {
				if q.site != nil {
					do()
				}
			})
		}
	})
}

// apart tells whether a cut is between p and q now.
func (w *world) apart(p, q *process) bool {
	for _, c := range w.cuts {
		if c.until > w.now && c.side>>(p.number%8)&1 != c.side>>(q.number%8)&1 {
			return true
		}
	}
	return false
}

// take does something in p's next turn.
func (p *process) take(do func()) {
	p.inbox = append(p.inbox, do)
	p.wake(p.w.now)
}

// wake gives p a turn at a time, or when it does not stand still any more.
func (p *process) wake(at int64) {
	at = max(at, p.w.now, p.stalled)
	if at >= p.turnAt || p.dead {
		return
	}
	p.turnAt = at
	p.w.at(at, func() {
		if p.turnAt == at {
			p.turn()
		}
	})
}

func (p *process) turn() {
	w := p.w
	p.turnAt = membership.Never
	if p.dead {
		return
	}
	if p.stalled > w.now {
		p.wake(p.stalled)
		return
	}
	inbox := p.inbox
	p.inbox = nil
	for _, do := range inbox {
		do()
	}
	if p.site == nil {
		return
	}
	for p.site != nil && w.h.violation == nil {
		p.submit()
		p.site.Flush(w.now)
		p.transmit()
		before := p.in
		n := p.site.Deliver(w.now, p, 64)
		p.transmit()
		if n == 0 && p.in == before {
			break
		}
	}
	if p.site != nil {
		p.wake(p.site.Deadline())
	}
}

// submit offers the machine what the program has sent.
func (p *process) submit() {
	for len(p.waiting) > 0 {
		m := p.waiting[0]
		if p.offeredIn != p.in {
			p.offered, p.offeredIn = 0, p.in
		}
		if p.offered == 0 {
			p.w.h.begin(m)
		}
		msg := core.Message{Level: m.level, Size: m.size}
		taken, done := p.site.Submit(p.w.now, msg, m.payload()[p.offered:])
		p.offered += taken
		if !done {
			return
		}
		p.w.h.sent(m)
		p.waiting, p.offered = p.waiting[1:], 0
	}
}

func (m *message) payload() []byte {
	b := make([]byte, m.size)
	binary.LittleEndian.PutUint32(b, uint32(m.from.number))
	binary.LittleEndian.PutUint32(b[4:], uint32(m.index))
	return b
}

// transmit puts packets and letters on the network.
func (p *process) transmit() {
	w := p.w
	for _, o := range p.site.Output() {
		for b := o.Buf; len(b) > 0; {
			n := min(o.Segment, len(b))
			packet := append([]byte(nil), b[:n]...)
			b = b[n:]
			for _, q := range w.all {
				if q != p && (o.Member == nil || o.Member.ID == q.id) {
					w.send(p, q, packet)
				}
			}
		}
	}
	p.site.Recycle()
	for _, l := range p.site.Letters() {
		q := w.ids[l.To]
		if q == nil || q.id != l.To || !p.conns[q] || q.dead {
			continue
		}
		body := l.Letter.Append(nil)
		w.say("%v => %v  %v %d.%d", p, q, l.Kind, l.Ballot>>8, l.Ballot.Rank())
		from := p.id
		w.letter(p, q, from, body)
	}
}

// letter brings a letter. One who waits to join enters by an Install.
func (w *world) letter(p, q *process, from uint64, body []byte) {
	at := w.now + w.s.Delay
	if w.s.Jitter > 0 {
		at += w.dice.Int64N(w.s.Jitter)
	}
	at = max(at, p.quiet[q])
	p.quiet[q] = at
	id := q.id
	var come func()
	come = func() {
		switch {
		case q.id != id || q.dead || p.silenced:
		case w.apart(p, q):
			w.at(w.now+milli, come)
		default:
			q.take(func() { q.read(from, body) })
		}
	}
	w.at(at, come)
}

func (q *process) read(from uint64, body []byte) {
	w := q.w
	l, err := membership.ParseLetter(body)
	if err != nil {
		w.h.fail("NoPanic", "%v cannot read a letter: %v", q, err)
		return
	}
	if q.site != nil {
		q.site.Letter(w.now, from, l)
		return
	}
	if l.Kind == membership.Install && l.Proposal.Next.Rank(q.id) >= 0 {
		w.say("%v enters view %d", q, l.Proposal.Next.Num)
		w.res.Entered++
		q.enter(l.Proposal.Next)
		for _, c := range w.all {
			if q.conns[c] {
				q.site.Connected(w.now, c.id)
			}
		}
	}
}

// send brings a packet, if it is not lost.
func (w *world) send(p, q *process, packet []byte) {
	lost, twice := w.dice.Float64() < w.s.Loss, w.dice.Float64() < w.s.Dup
	calm := w.now >= started+w.s.Calm
	if w.apart(p, q) || lost && !calm || q.dead {
		return
	}
	copies := 1
	if twice && !calm {
		copies = 2
	}
	for range copies {
		at := w.now + w.s.Delay
		if w.s.Jitter > 0 {
			at += w.dice.Int64N(w.s.Jitter)
		}
		w.at(at, func() {
			if !q.dead {
				q.take(func() { q.receive(packet) })
			}
		})
	}
}

func (q *process) receive(packet []byte) {
	if q.site == nil {
		return
	}
	ref := q.pool.Get()
	copy(q.pool.Bytes(ref), packet)
	q.site.Train(q.w.now, ref, 0, len(packet), len(packet)) // of one packet
	q.pool.Release(ref)
}

// Deliver takes a message from p's site.
func (p *process) Deliver(d *core.Delivery) bool {
	w := p.w
	from, index := int(binary.LittleEndian.Uint32(d.Payload)), int(binary.LittleEndian.Uint32(d.Payload[4:]))
	if from >= len(w.all) || index >= len(w.all[from].sent) {
		w.h.fail("Integrity", "%v delivers what nobody sent: %d.%d", p, from, index)
		return true
	}
	w.h.deliver(p, w.all[from].sent[index])
	return true
}

// View takes a change from p's site.
func (p *process) View(c site.Change) {
	w := p.w
	switch {
	case c.Blocked:
		w.say("%v is blocked in view %d", p, c.Old.Num)
		w.res.Blocked++
	case c.Out:
		w.say("%v is out of view %d, next %d, gone %v", p, c.Old.Num, c.Next.Num, c.Gone)
		if c.Why == membership.Left {
			w.res.Left++
			w.h.leave(p, c.Next.Key())
		} else {
			w.res.Expelled++
		}
		w.at(w.now, p.away)
	default:
		w.say("%v goes to view %d of %d, gone %v", p, c.Next.Num, len(c.Next.Members), c.Gone)
		w.res.Discarded += c.Discarded
		w.h.leave(p, c.Next.Key())
		w.h.install(p, c.Next)
		id := p.id
		w.at(w.now, func() {
			if p.id == id {
				p.meet()
			}
		})
	}
}

// away ends p's incarnation: one that left for good, one that was expelled comes back.
func (p *process) away() {
	if p.dead || p.site == nil || !p.site.Out() {
		return
	}
	p.close(false)
	if p.leaving {
		p.dead = true
		return
	}
	p.reborn()
	p.w.seek(p)
}

// close ends p's connections: the others learn of it after what it has sent or, if
// it crashed, perhaps before.
func (p *process) close(crash bool) {
	w := p.w
	for _, q := range w.all { // in order: a map's is not
		if !p.conns[q] {
			continue
		}
		delete(q.conns, p)
		id, qid := p.id, q.id
		do := func() { q.site.Disconnected(w.now, id) }
		if crash && w.dice.chance(2) {
			w.arrive(p, q, w.now+w.s.Delay, qid, do)
		} else {
			w.post(p, q, do)
		}
	}
	p.conns = map[*process]bool{}
}

// seek lets an outsider ask a leader in. It stands for the discovery and the
// handshake, which are not part of a site.
func (w *world) seek(p *process) {
	id := p.id
	w.at(w.now+joinEvery, func() {
		if p.dead || p.id != id || p.site != nil {
			return
		}
		if p.tries++; p.tries%joinFor == 0 {
			p.close(false)
			p.reborn()
		} else {
			w.knock(p)
		}
		w.seek(p)
	})
}

func (w *world) knock(p *process) {
	if p.stalled > w.now {
		return
	}
	for _, leader := range w.all {
		if leader.dead || leader.site == nil || !leader.site.Leading() || leader.site.Blocked() || leader.stalled > w.now || w.apart(p, leader) {
			continue
		}
		if !w.meetAll(p, leader.site.View()) {
			continue
		}
		m := p.member()
		leader.take(func() {
			if leader.site != nil && leader.site.Leading() && leader.site.View().Rank(m.ID) < 0 {
				leader.site.Admit(w.now, m)
			}
		})
		return
	}
}

// meetAll connects p with all members of a view; false if that is not possible.
func (w *world) meetAll(p *process, v membership.View) bool {
	for _, m := range v.Members {
		q := w.ids[m.ID]
		if q.id != m.ID || q.dead || w.apart(p, q) {
			return false
		}
		if !p.conns[q] {
			w.connect(p, q)
		}
	}
	return true
}

// running lists the processes that are members.
func (w *world) running() (list []*process) {
	for _, p := range w.all {
		if !p.dead && p.site != nil {
			list = append(list, p)
		}
	}
	return list
}

func (w *world) operate(o Op) {
	if o.Kind == Join {
		p := w.spawn()
		w.say("%v comes", p)
		w.seek(p)
		return
	}
	if o.Kind == Cut {
		w.say("%v", o)
		w.cuts = append(w.cuts, cut{o.Side, min(w.now+o.For, started+w.s.Calm)})
		return
	}
	list := w.running()
	if len(list) == 0 {
		return
	}
	p := list[o.Who%len(list)]
	if o.Kind != Send {
		w.say("%v: %v", p, o)
	}
	switch o.Kind {
	case Send:
		for range o.Count {
			m := &message{from: p, index: len(p.sent), level: o.Level, size: o.Size + 8}
			p.sent = append(p.sent, m)
			p.waiting = append(p.waiting, m)
		}
		p.wake(w.now)
	case Crash:
		for i := range min(1+o.Count, len(list)) {
			q := list[(o.Who+i)%len(list)]
			q.close(true)
			q.dead, q.silenced = true, w.dice.chance(2)
		}
	case Stall:
		p.stalled = max(p.stalled, min(w.now+o.For, started+w.s.Calm))
		p.turnAt = membership.Never
		p.wake(p.stalled)
	case Leave:
		p.leaving = true
		p.take(func() {
			if p.site != nil {
				p.site.Leave(w.now)
			}
		})
	}
}

// run goes on until all is well after the faults, or for too long.
func (w *world) run() {
	end := started + w.s.Calm + max(leastSettle, settle*w.s.Timeout)
	check := started + w.s.Calm
	for w.h.violation == nil && w.events.Len() > 0 {
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		e.do()
		if w.now < check || w.opsDue > 0 {
			continue
		}
		check = w.now + w.s.Timeout/4
		why := w.unwell()
		if why == "" {
			return
		}
		if w.now > end {
			if w.hopeless() {
				w.res.Stuck = true
				return
			}
			w.h.fail("Liveness", "%v after the faults ended: %s", time.Duration(w.now-started-w.s.Calm), why)
		}
	}
}

// unwell says what is still missing: all who run are to be in one view, with
// nothing left to deliver. A run that too few survived is well when all who are
// left know that.
func (w *world) unwell() string {
	var v *view
	for _, p := range w.all {
		switch {
		case p.dead:
			continue
		case p.site == nil || p.in == nil:
			return fmt.Sprintf("%v is not in a view", p)
		case p.leaving:
			return fmt.Sprintf("%v has not left", p)
		case v != nil && v != p.in:
			return fmt.Sprintf("%v is in view %d, another in view %d (%v)", p, p.in.Num, v.Num, p.site)
		}
		v = p.in
		if len(p.waiting) > 0 {
			return fmt.Sprintf("%v has %d messages to send, blocked %v", p, len(p.waiting), p.site.Blocked())
		}
	}
	if v == nil {
		return ""
	}
	alive := 0
	for _, p := range w.all {
		if p.dead {
			continue
		}
		alive++
		for from, list := range v.sent {
			if k := v.logs[p].counts[from]; k < len(list) {
				return fmt.Sprintf("%v has delivered %d of %d messages of %v", p, k, len(list), from)
			}
		}
	}
	if alive < len(v.Members) {
		return fmt.Sprintf("view %d has %d members, %d are alive", v.Num, len(v.Members), alive)
	}
	return ""
}

// hopeless tells whether too few have survived of the last view that anybody alive
// was in: then nobody may go on, and nobody can be blamed.
func (w *world) hopeless() bool {
	var last *view
	for _, v := range w.h.views {
		for p := range v.logs {
			if !p.dead && (last == nil || v.Num > last.Num) {
				last = v
			}
		}
	}
	if last == nil {
		return true
	}
	left, oldest := 0, false
	for r, m := range last.Members {
		if p := w.ids[m.ID]; !p.dead && (p.id == m.ID || last.logs[p] != nil) {
			left++
			oldest = oldest || r == 0
		}
	}
	return 2*left < len(last.Members) || 2*left == len(last.Members) && !oldest
}
