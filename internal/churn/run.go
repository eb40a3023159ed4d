package churn

import (
	"container/heap"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"cohort/groups"
	"cohort/internal/flaw"
)

const (
	started = int64(time.Hour) // when runs begin
	// settle bounds how long after the faults all must be well again, in
	// timeouts, and at least leastSettle ns.
	settle      = 100
	leastSettle = 40 * int64(time.Second)
	hopelessFor = 4 * int64(time.Second) // how long it must look so before it is believed
	leaveFor    = int64(time.Second)     // a process that has not left by then ends anyhow
)

// Result is what a run came to.
type Result struct {
	Violation           *Violation
	Delivered, Changes  int // messages, and views installed, at all processes
	Discarded           uint64
	Blocked, Expelled   int // times that a process was
	Left, Entered       int
	Merged              int   // times that a process was in a ring that gave way to another
	Rings               int   // that were formed
	Restored, Refetched int   // states of groups, and times that another donor was asked
	Orphaned            int   // times that a group began anew because all who had the state were gone
	Skipped             int   // messages that a restored state contained already
	Stuck               bool  // too few survived for anybody to go on
	Time                int64 // virtual ns
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

type world struct {
	s      Scenario
	flaws  flaw.Set
	dice   dice
	now    int64
	events events
	all    []*node
	ids    map[uint64]*node
	cuts   []cut
	made   uint64 // dials and connections
	h      *history
	trace  io.Writer
	res    Result
	opsDue int
	well   bool // at the end
}

// Run runs a scenario to its end or to the first violation. trace may be nil.
func Run(s Scenario, flaws flaw.Set, trace io.Writer) (res Result) {
	w := &world{s: s, flaws: flaws, now: started, ids: map[uint64]*node{}, h: newHistory(s), trace: trace}
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
	if w.well {
		in := &agreed{}
		for _, p := range w.alive() {
			w.h.compareGroups(p, in)
		}
	}
	w.res.Violation, w.res.Delivered, w.res.Changes = w.h.violation, w.h.delivered, w.h.changes
	w.res.Rings, w.res.Time = len(w.h.rings), w.now-started
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

// begin starts the first processes and plans the operations.
func (w *world) begin() {
	for range w.s.Members {
		w.spawn()
	}
	w.opsDue = len(w.s.Ops)
	for _, o := range w.s.Ops {
		w.at(started+o.At, func() { w.opsDue--; w.operate(o) })
	}
}

// alive lists the processes that run; members, those of them that are in a view.
func (w *world) alive() (list []*node) {
	for _, p := range w.all {
		if !p.dead {
			list = append(list, p)
		}
	}
	return list
}

func (w *world) members() (list []*node) {
	for _, p := range w.all {
		if !p.dead && p.in != nil {
			list = append(list, p)
		}
	}
	return list
}

func (w *world) operate(o Op) {
	list := w.alive()
	switch o.Kind {
	case Join:
		w.spawn()
		return
	case Cut:
		w.say("%v", o)
		w.cuts = append(w.cuts, cut{o.Side, w.calmBy(o.For)})
		return
	case Restart:
		w.say("%v", o)
		w.restart(list, o)
		return
	case Send, Leave, Enter, Exit:
		list = w.members()
	}
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
			p.enqueue(&message{from: p, level: o.Level, size: o.Size + headSize, group: groupNames[o.Group]})
		}
	case Enter:
		p.join(sideName)
	case Exit:
		if g := p.joined[sideName]; g != nil && g.id != 0 {
			p.operate(groups.Op{Kind: groups.Leave, Name: sideName})
		}
	case Crash:
		for i := range min(1+o.Count, len(list)) {
			list[(o.Who+i)%len(list)].crash()
		}
	case Stall:
		p.stall(w.calmBy(o.For))
	case Leave:
		w.leave(p)
	}
}

// calmBy returns when a fault ends that begins now.
func (w *world) calmBy(lasts int64) int64 { return min(w.now+lasts, started+w.s.Calm) }

// restart has processes crash that come back as new ones: one, or all.
func (w *world) restart(list []*node, o Op) {
	if o.Count == 0 && len(list) > 0 {
		list = list[o.Who%len(list):][:1]
	}
	for i, p := range list {
		p.crash()
		w.opsDue++
		w.at(w.calmBy(o.For)+int64(i)*w.s.Delay, func() { w.opsDue--; p.start() })
	}
}

// leave has a process ask for a view without it. One that waits for too long ends.
func (w *world) leave(p *node) {
	id := p.id
	p.leaving = true
	p.take(func() { p.proc.Leave(w.now) })
	w.at(w.now+leaveFor, func() {
		if p.leaving && p.id == id {
			p.crash()
		}
	})
}

// run goes on until all is well after the faults, or for too long.
func (w *world) run() {
	end := started + w.s.Calm + max(leastSettle, settle*w.s.Timeout)
	check := started + w.s.Calm
	hopeful := check
	for w.h.violation == nil && w.events.Len() > 0 {
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		e.do()
		if w.now < check || w.opsDue > 0 {
			continue
		}
		check = w.now + w.s.Timeout/4
		missing := w.unwell()
		if missing == "" {
			w.well = true
			return
		}
		if !w.hopeless() {
			hopeful = w.now
		}
		switch {
		case w.now > hopeful+hopelessFor:
			w.res.Stuck = true
			return
		case w.now > end:
			w.h.fail("Liveness", "%v after the faults ended: %s", time.Duration(w.now-started-w.s.Calm), missing)
		}
	}
}

// unwell says what is still missing: all who run are to be in one view, with nothing
// left to deliver.
func (w *world) unwell() string {
	var in *view
	alive := w.alive()
	for _, p := range alive {
		switch {
		case p.in == nil:
			return fmt.Sprintf("%v is not in a view (%v)", p, p.proc.Problem())
		case p.leaving:
			return fmt.Sprintf("%v has not left", p)
		case in != nil && p.in != in:
			return fmt.Sprintf("%v is in view %d of ring %016x, others in view %d of %016x (%v)", p, p.in.Num, p.in.Ring, in.Num, in.Ring, p.proc.Site())
		case len(p.waiting) > 0:
			return fmt.Sprintf("%v has %d messages to send, blocked %v", p, len(p.waiting), p.proc.Blocked())
		}
		if missing := p.unwellGroups(); missing != "" {
			return fmt.Sprintf("%v %s", p, missing)
		}
		in = p.in
		for from, list := range p.in.sent {
			if k := p.in.logs[p].counts[from]; k < len(list) {
				return fmt.Sprintf("%v has delivered %d of %d messages of %v", p, k, len(list), from)
			}
		}
	}
	if in != nil && len(alive) < len(in.Members) {
		return fmt.Sprintf("view %d has %d members, %d are alive", in.Num, len(in.Members), len(alive))
	}
	return ""
}

// hopeless tells whether nobody may go on, and nobody can be blamed: those outside
// are too few to form a ring, and of every ring that somebody is in too few have
// survived.
func (w *world) hopeless() bool {
	last := map[uint64]uint64{} // by ring: the newest view that somebody is in
	outside := 0
	for _, p := range w.alive() {
		if p.in == nil {
			outside++
		} else {
			last[p.in.Ring] = max(last[p.in.Ring], p.in.Num)
		}
	}
	if outside >= w.s.Expect/2+1 || len(last) == 0 && outside == 0 {
		return false
	}
	for ring, num := range last {
		if !w.over(ring, num) {
			return false
		}
	}
	return true
}

// over tells whether a ring cannot go on. Its last view may be one that only the dead
// had entered.
func (w *world) over(ring, num uint64) bool {
	if w.s.Lone {
		return false
	}
	for _, v := range w.h.views {
		if v.Ring == ring && v.Num >= num && w.tooFew(v) {
			return true
		}
	}
	return false
}

// tooFew tells whether those who are left of a view are no quorum.
func (w *world) tooFew(v *view) bool {
	left, oldest := 0, false
	for r, m := range v.Members {
		if p := w.ids[m.ID]; !p.dead && p.id == m.ID {
			left++
			oldest = oldest || r == 0
		}
	}
	return 2*left < len(v.Members) || 2*left == len(v.Members) && !oldest
}
