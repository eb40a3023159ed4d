package membership

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"cohort/internal/flaw"

	"github.com/cespare/xxhash/v2"
)

// A world is a view that ends, with all that is under way in it. It is a value: a
// step makes a new one that shares what did not change, so a search can go back.
type world struct {
	nodes []*node
	links [][]parcel // from*n+to: first in, first out
	cut   uint32     // bit from*n+to: no connection
	votes []vote
	left  mishaps
}

// mishaps is what may still happen at any time; of ticks, that one member's time
// passes before the others', when nothing else is under way.
type mishaps struct{ crashes, wrong, cuts, heals, ticks int }

// node is a member: never changed once it is in a world.
type node struct {
	a    *Agreement
	d    *plane
	now  int64
	dead bool
	hash uint64
}

// plane is a data plane in which packets are numbers.
type plane struct {
	row, cut []uint64
	frozen   bool
	thawed   bool // something was asked of it that only frozen ones do
}

func (d *plane) Freeze(int64)  { d.frozen = true }
func (d *plane) Frozen() bool  { return d.frozen }
func (d *plane) Row() []uint64 { return slices.Clone(d.row) }

func (d *plane) Fetch(_ int64, cut []uint64, _ []int) {
	d.cut, d.thawed = cut, d.thawed || !d.frozen
}

func (d *plane) Fetched() bool { return d.cut != nil && covers(d.row, d.cut) }

func covers(row, cut []uint64) bool {
	for s, k := range cut {
		if row[s] < k {
			return false
		}
	}
	return true
}

// parcel is what a connection brings: a letter, or the news that it is down or up.
type parcel struct {
	what byte // 'l', 'd', 'u'
	l    Letter
	hash uint64
}

// vote tells who has accepted what at a ballot.
type vote struct {
	at        Ballot
	value, by uint64
}

// act is one step: of kind, by or from a, to or of b.
type act struct {
	kind byte
	a, b int
}

var actNames = map[byte]string{
	'l': "%d→%d arrives", 'x': "%d→%d is lost", 'f': "%d fetches", 'c': "%d crashes", 's': "%d suspects %d wrongly",
	'p': "%d–%d is cut", 'h': "%d–%d heals", 't': "%d's time passes",
}

func (c act) String() string {
	if format := actNames[c.kind]; strings.Count(format, "%d") == 2 {
		return fmt.Sprintf(format, c.a, c.b)
	}
	return fmt.Sprintf(actNames[c.kind], c.a)
}

// begin is where a search starts.
type begin struct {
	name string
	rows [][]uint64
	left mishaps
	ask  func(as []*Agreement) // before anything happens
}

// search walks all worlds that can follow from one.
type search struct {
	begin
	n       int
	view    View
	safe    []uint64 // what may have been delivered as safe
	limit   int      // of worlds
	seen    map[uint64]struct{}
	path    []string
	ends    int
	settled int            // of these, in which a next view was decided
	met     map[string]int // per property, in how many worlds it was found broken
	trace   map[string][]string
	until   []string // stop when one of these has been found broken; none: any
	done    bool
	buf     []byte
}

const timeout = 1000 * ms

func newSearch(g begin, flaws flaw.Set, limit int, until ...string) (*search, *world) {
	n := len(g.rows)
	s := &search{begin: g, n: n, limit: limit, until: until, seen: map[uint64]struct{}{}, met: map[string]int{}, trace: map[string][]string{}}
	s.view = View{Ring: 7, Num: 3}
	for r := range n {
		s.view.Members = append(s.view.Members, person(uint64(r+1), int64(r)))
	}
	for q := range n {
		column := make([]uint64, n)
		for r := range n {
			column[r] = g.rows[r][q]
		}
		slices.Sort(column)
		s.safe = append(s.safe, column[n-s.view.Majority()])
	}
	w := &world{links: make([][]parcel, n*n), left: g.left}
	var as []*Agreement
	for r := range n {
		d := &plane{row: g.rows[r]}
		a := NewAgreement(Rules{Timeout: timeout, Flaws: flaws}, s.view, r, d)
		as = append(as, a)
		w.nodes = append(w.nodes, &node{a: a, d: d})
	}
	if g.ask != nil {
		g.ask(as)
	}
	for r := range n {
		w = s.change(w, r, func(x *node) { x.a.Step(0) })
	}
	return s, w
}

// clone copies what a step may change; letters and proposals never do.
func (x *node) clone() *node {
	y, a, d := *x, *x.a, *x.d
	d.row = slices.Clone(d.row)
	a.data, a.joins, a.suspects = &d, slices.Clone(a.joins), slices.Clone(a.suspects)
	if a.lead != nil {
		l := *a.lead
		l.promises = slices.Clone(l.promises)
		a.lead = &l
	}
	y.a, y.d = &a, &d
	return &y
}

// TestWorldsKnowAllOfAnAgreement: a new field needs a line in clone, if it points
// somewhere, and in hashNode, if it matters to what comes.
func TestWorldsKnowAllOfAnAgreement(t *testing.T) {
	known := []string{
		"rules", "view", "key", "self", "n", "data", "joins", "leaving", "dissolve", "suspects", "hearsay", "blocked", "accused",
		"promised", "accepted", "acceptAt", "pending", "pendingAt", "lead", "highest", "retryAt", "decided", "out",
	}
	var fields []string
	for f := range reflect.TypeFor[Agreement]().Fields() {
		fields = append(fields, f.Name)
	}
	if !slices.Equal(fields, known) {
		t.Errorf("an Agreement has\n%v\nclone and hashNode know of\n%v", fields, known)
	}
}

// out tells that the member has been told that it is not in the next view.
func (x *node) out() bool {
	_, why := x.a.Gone()
	_, ok := x.a.Decided()
	return why != 0 && (ok || why != Left && why != Merged)
}

// over tells that the member is done with the view.
func (x *node) over() bool {
	_, ok := x.a.Decided()
	return ok || x.out()
}

// change returns the world after do has been done to member r, its letters sent.
func (s *search) change(w *world, r int, do func(x *node)) *world {
	v := *w
	v.nodes = slices.Clone(w.nodes)
	x := w.nodes[r].clone()
	do(x)
	v.nodes[r] = x
	posts := x.a.Take()
	v.links = slices.Clone(w.links)
	for _, p := range posts {
		s.send(&v, r, p.To, p.Letter)
	}
	if x.dead || x.out() {
		for from := range s.n {
			v.links[from*s.n+r] = nil // nobody reads it
		}
	}
	x.hash = s.hashNode(x)
	return &v
}

func (s *search) send(w *world, from, to int, l Letter) {
	if x := w.nodes[to]; x.dead || x.out() || w.cut>>(from*s.n+to)&1 != 0 {
		return
	}
	s.buf = l.Append(s.buf[:0])
	s.put(w, from, to, parcel{'l', l, xxhash.Sum64(s.buf)})
}

// put is for worlds whose links are their own.
func (s *search) put(w *world, from, to int, p parcel) {
	q := w.links[from*s.n+to]
	w.links[from*s.n+to] = append(q[:len(q):len(q)], p)
}

// hashNode covers all of a member that matters to what it will do: of times, how
// long ago they were.
func (s *search) hashNode(x *node) uint64 {
	a, d := x.a, x.d
	b := append(s.buf[:0], bit(x.dead), bit(a.blocked), bit(a.accused), bit(a.dissolve), bit(d.frozen), byte(len(a.joins)))
	for _, why := range a.suspects {
		b = append(b, byte(why))
	}
	for _, k := range []uint64{a.hearsay, a.leaving, uint64(a.promised), uint64(a.acceptAt), uint64(a.pendingAt), uint64(a.highest), uint64(max(0, a.retryAt-x.now))} {
		b = le.AppendUint64(b, k)
	}
	for _, p := range []*Proposal{a.accepted, a.pending, a.decided} {
		if b = append(b, bit(p != nil)); p != nil {
			b = p.append(b)
		}
	}
	b = appendVector(appendVector(b, d.row), d.cut)
	if l := a.lead; l != nil {
		b = le.AppendUint64(b, uint64(l.ballot))
		b = le.AppendUint64(b, uint64(x.now-l.since))
		b = le.AppendUint64(b, l.accepts)
		for _, p := range l.promises {
			if b = append(b, bit(p != nil)); p != nil {
				b = p.Append(b)
			}
		}
		if l.proposal != nil {
			b = append(l.proposal.append(b), l.holders...)
		}
	}
	s.buf = b
	return xxhash.Sum64(b)
}

func (s *search) hash(w *world) uint64 {
	b := s.buf[:0]
	for _, x := range w.nodes {
		b = le.AppendUint64(b, x.hash)
	}
	for _, q := range w.links {
		b = append(b, byte(len(q)))
		for _, p := range q {
			b = le.AppendUint64(append(b, p.what), p.hash)
		}
	}
	b = le.AppendUint32(b, w.cut)
	b = append(b, byte(w.left.crashes), byte(w.left.wrong), byte(w.left.cuts), byte(w.left.heals), byte(w.left.ticks))
	for _, v := range w.votes {
		b = le.AppendUint64(le.AppendUint64(le.AppendUint64(b, uint64(v.at)), v.value), v.by)
	}
	s.buf = b
	return xxhash.Sum64(b)
}

// connected tells whether both live and a connection is between them.
func (s *search) connected(w *world, a, b int) bool {
	return !w.nodes[a].dead && !w.nodes[b].dead && w.cut>>(a*s.n+b)&1 == 0
}

// enabled lists what can happen next: moves, which will happen if nothing goes
// wrong, and mishaps.
func (s *search) enabled(w *world) (moves, bad []act) {
	for i, q := range w.links {
		if len(q) == 0 {
			continue
		}
		from, to := i/s.n, i%s.n
		moves = append(moves, act{'l', from, to})
		if w.nodes[from].dead && q[0].what == 'l' {
			moves = append(moves, act{'x', from, to})
		}
	}
	for r, x := range w.nodes {
		if x.dead {
			continue
		}
		if s.fetchable(w, r) != 0 {
			moves = append(moves, act{'f', r, r})
		}
		if w.left.crashes > 0 {
			bad = append(bad, act{'c', r, r})
		}
		for b := range s.n {
			if w.left.wrong > 0 && b != r && !x.over() && x.a.Suspected(b) == 0 {
				bad = append(bad, act{'s', r, b})
			}
			if w.left.cuts > 0 && r < b && s.connected(w, r, b) {
				bad = append(bad, act{'p', r, b})
			}
			if w.left.heals > 0 && r < b && w.cut>>(r*s.n+b)&1 != 0 && !w.nodes[b].dead {
				bad = append(bad, act{'h', r, b})
			}
		}
	}
	return moves, bad
}

// fetchable returns the senders of whose packets r lacks some that it can get.
func (s *search) fetchable(w *world, r int) (senders uint64) {
	x := w.nodes[r]
	if x.d.cut == nil || x.dead || x.out() || covers(x.d.row, x.d.cut) {
		return 0
	}
	for j, y := range w.nodes {
		for q, k := range x.d.cut {
			if x.d.row[q] < k && y.d.row[q] >= k && s.connected(w, r, j) && !y.out() {
				senders |= 1 << q
			}
		}
	}
	return senders
}

// apply returns the world after c.
func (s *search) apply(w *world, c act) *world {
	switch c.kind {
	case 'l':
		return s.arrive(w, c.a, c.b)
	case 'x':
		v := *w
		v.links = slices.Clone(w.links)
		q := v.links[c.a*s.n+c.b]
		v.links[c.a*s.n+c.b] = q[len(q)-1:] // that it is down
		return &v
	case 'f':
		senders := s.fetchable(w, c.a)
		return s.change(w, c.a, func(x *node) {
			for q, k := range x.d.cut {
				if senders>>q&1 != 0 {
					x.d.row[q] = k
				}
			}
			x.a.Step(x.now)
		})
	case 'c':
		v := s.change(w, c.a, func(x *node) { x.dead = true })
		v.left.crashes--
		for b := range s.n {
			if b != c.a {
				s.closed(v, c.a, b)
			}
		}
		return v
	case 's':
		v := s.change(w, c.a, func(x *node) { x.a.Suspect(x.now, c.b, Silent) })
		v.left.wrong--
		return v
	case 'p':
		v := *w
		v.links = slices.Clone(w.links)
		v.left.cuts--
		for _, d := range [][2]int{{c.a, c.b}, {c.b, c.a}} {
			v.links[d[0]*s.n+d[1]] = nil
			s.closed(&v, d[0], d[1])
			v.cut |= 1 << (d[0]*s.n + d[1])
		}
		return &v
	case 'h':
		v := *w
		v.links = slices.Clone(w.links)
		v.left.heals--
		for _, d := range [][2]int{{c.a, c.b}, {c.b, c.a}} {
			v.cut &^= 1 << (d[0]*s.n + d[1])
			if !v.nodes[d[1]].out() {
				s.put(&v, d[0], d[1], parcel{what: 'u'})
			}
		}
		return &v
	}
	return s.pass(w, c.a)
}

// closed tells to that its connection with from is down, unless that was known.
func (s *search) closed(w *world, from, to int) {
	if x := w.nodes[to]; !x.dead && !x.out() && w.cut>>(from*s.n+to)&1 == 0 {
		s.put(w, from, to, parcel{what: 'd'})
	}
}

// arrive hands over the first of what is under way, as a site does.
func (s *search) arrive(w *world, from, to int) *world {
	p := w.links[from*s.n+to][0]
	v := s.change(w, to, func(x *node) {
		switch {
		case x.over():
		case p.what == 'd':
			x.a.Suspect(x.now, from, Crashed)
		case p.what == 'u':
			x.a.Reachable(x.now, from)
		default:
			if x.a.Blocked() && x.a.Suspected(from) != 0 {
				x.a.Reachable(x.now, from)
			}
			x.a.Receive(x.now, from, p.l)
		}
	})
	if q := v.links[from*s.n+to]; len(q) > 0 { // else it is out, and reads no more
		v.links[from*s.n+to] = q[1:]
	}
	if x := w.nodes[to]; x.over() && !x.out() && p.what == 'l' && p.l.Kind != Install && p.l.Kind != Accepted {
		s.send(v, to, from, Letter{Kind: Install, View: s.view.Key(), Num: s.view.Num, Proposal: *x.a.decided, Holders: make([]uint8, s.n)})
	}
	return v
}

// pass lets time pass at a member until something is due.
func (s *search) pass(w *world, r int) *world {
	v := s.change(w, r, func(x *node) {
		if due := x.a.Due(); due != Never {
			x.now = max(x.now, due)
		} else {
			x.now += timeout
		}
		if x.d.frozen {
			var reach uint64
			for b := range s.n {
				if b != r && s.connected(w, r, b) {
					reach |= 1 << b
				}
			}
			x.a.Tell()
			x.a.Forgive(x.now, reach)
		}
		x.a.Step(x.now)
	})
	if v.left.ticks > 0 {
		v.left.ticks--
	}
	return v
}

// step is apply, with the books kept and the result checked.
func (s *search) step(w *world, c act) *world {
	v := s.apply(w, c)
	if c.kind == 'x' || c.kind == 'p' || c.kind == 'h' {
		return v
	}
	r := c.a
	if c.kind == 'l' {
		r = c.b
	}
	was, is := w.nodes[r].a, v.nodes[r].a
	if is.accepted != nil && (is.accepted != was.accepted || is.acceptAt != was.acceptAt) {
		s.count(v, r)
	}
	if v.nodes[r].d.thawed {
		s.broken("Frozen")
	}
	if was.decided == nil && is.decided != nil {
		s.check(v, r, *is.decided)
	}
	return v
}

func (s *search) value(p Proposal) uint64 {
	s.buf = p.append(s.buf[:0])
	return xxhash.Sum64(s.buf)
}

// count enters that r has accepted.
func (s *search) count(w *world, r int) {
	a := w.nodes[r].a
	value := s.value(*a.accepted)
	w.votes = slices.Clone(w.votes)
	for i := range w.votes {
		if v := &w.votes[i]; v.at == a.acceptAt {
			if v.value != value {
				s.broken("OneValue")
			}
			v.by |= 1 << r
			return
		}
	}
	w.votes = append(w.votes, vote{a.acceptAt, value, 1 << r})
	slices.SortFunc(w.votes, func(v, u vote) int { return int(int64(v.at) - int64(u.at)) })
}

// quorum is what the protocol says it is, whatever flaw is in it.
func (s *search) quorum(ranks uint64) bool {
	k := 2 * count(ranks)
	return k > s.n || k == s.n && ranks&1 != 0
}

// check holds what r has just learnt to be decided against every property.
func (s *search) check(w *world, r int, p Proposal) {
	for _, x := range w.nodes {
		if o := x.a.decided; o != nil && (o.Next.Key() != p.Next.Key() || !slices.Equal(o.Cut, p.Cut)) {
			s.broken("Agreement")
		}
	}
	if !s.valid(w, p) {
		s.broken("Validity")
	}
	value := s.value(p)
	if !slices.ContainsFunc(w.votes, func(v vote) bool { return v.value == value && s.quorum(v.by) }) {
		s.broken("Quorum")
	}
	var held uint64
	for i, x := range w.nodes {
		if covers(x.d.row, p.Cut) {
			held |= 1 << i
		}
	}
	if !s.quorum(held) {
		s.broken("Held")
	}
	for i, m := range s.view.Members {
		if p.Next.Rank(m.ID) >= 0 && !covers(p.Cut, s.rows[i]) {
			s.broken("Union")
		}
	}
	if !covers(p.Cut, s.safe) {
		s.broken("Uniform")
	}
}

// valid tells whether p's next view is made of members of this one and of joiners,
// and of those members whom it does not call gone.
func (s *search) valid(w *world, p Proposal) bool {
	if p.Next.Num != s.view.Num+1 || len(p.Next.Members) > 0 && p.Next.Validate() != nil {
		return false
	}
	var joins []Member
	var leaving uint64
	for _, x := range w.nodes {
		joins, leaving = append(joins, x.a.joins...), leaving|x.a.leaving
	}
	for _, m := range p.Next.Members {
		asked := slices.ContainsFunc(joins, func(j Member) bool { return j.ID == m.ID })
		if s.view.Rank(m.ID) < 0 && (!asked || m.Joined != p.Next.Num) {
			return false
		}
	}
	for i, m := range s.view.Members {
		at := slices.IndexFunc(p.Gone, func(d Departure) bool { return d.Rank == i })
		if (at < 0) != (p.Next.Rank(m.ID) >= 0) || at >= 0 && p.Gone[at].Reason == Left && leaving>>i&1 == 0 {
			return false
		}
	}
	return true
}

// broken notes that a property does not hold at the end of the path.
func (s *search) broken(property string) {
	if s.met[property]++; s.met[property] == 1 {
		s.trace[property] = slices.Clone(s.path)
	}
	s.done = s.done || s.until == nil || slices.Contains(s.until, property)
}

// walk goes everywhere from w, in depth, that has not been seen.
func (s *search) walk(w *world) {
	key := s.hash(w)
	if _, ok := s.seen[key]; ok || s.done {
		return
	}
	if s.done = len(s.seen) >= s.limit; s.done {
		return
	}
	s.seen[key] = struct{}{}
	moves, bad := s.enabled(w)
	if len(moves) == 0 {
		if moves = s.ticks(w); len(moves) == 0 {
			s.settle(w)
		}
	}
	for _, c := range append(moves, bad...) {
		s.path = append(s.path, c.String())
		s.walk(s.step(w, c))
		s.path = s.path[:len(s.path)-1]
		if s.done {
			return
		}
	}
}

// ticks lists whose time may pass, where nothing else goes on.
func (s *search) ticks(w *world) (list []act) {
	for r, x := range w.nodes {
		if w.left.ticks > 0 && !x.dead && !x.over() && (x.d.frozen || x.a.Due() != Never) {
			list = append(list, act{'t', r, r})
		}
	}
	return list
}

// patient is for how many rounds those who have not decided are waited for.
const patient = 30

// settle lets time pass without more mishaps, until all get there who can.
func (s *search) settle(w *world) *world {
	depth := len(s.path)
	s.ends++
	for range patient {
		for range 1000 { // more would be letters that never end
			moves, _ := s.enabled(w)
			if len(moves) == 0 || s.done {
				break
			}
			s.path = append(s.path, moves[0].String())
			w = s.step(w, moves[0])
		}
		waiting := false
		for r, x := range w.nodes {
			if !x.dead && !x.over() && (x.d.frozen || x.a.Due() != Never) && !s.done {
				waiting = true
				s.path = append(s.path, act{'t', r, r}.String())
				w = s.step(w, act{'t', r, r})
			}
		}
		if !waiting {
			break
		}
	}
	if !s.done && !s.lively(w) {
		s.broken("Liveness")
	}
	s.path = s.path[:depth]
	return w
}

// lively tells whether every quorum that is connected, and not told to go away,
// knows what was decided, if anything is due.
func (s *search) lively(w *world) bool {
	due := false
	for _, x := range w.nodes {
		due = due || x.d.frozen || x.a.decided != nil
	}
	if slices.ContainsFunc(w.nodes, func(x *node) bool { return x.over() && !x.dead }) {
		s.settled++
	}
	for set := uint64(1); due && set < 1<<s.n; set++ {
		if !s.quorum(set) || !s.clique(w, set) {
			continue
		}
		for r, x := range w.nodes {
			if set>>r&1 != 0 && !x.over() && s.belongs(w, r) {
				return false
			}
		}
	}
	return true
}

// belongs tells whether r is in the next view, as far as anybody knows.
func (s *search) belongs(w *world, r int) bool {
	for _, x := range w.nodes {
		if x.a.decided != nil {
			return x.a.decided.Next.Rank(s.view.Members[r].ID) >= 0
		}
	}
	return true
}

func (s *search) clique(w *world, set uint64) bool {
	for a := range s.n {
		for b := range s.n {
			if set>>a&1 != 0 && set>>b&1 != 0 && (!s.connected(w, a, b) || w.nodes[a].out()) {
				return false
			}
		}
	}
	return true
}

// begins are where the searches start: each is walked to the end.
var begins = []begin{
	{"3: a crash while one joins", rowsOf3, mishaps{crashes: 1, ticks: 1}, joinAt0},
	{"3: a crash while the leader leaves", rowsOf3, mishaps{crashes: 1, ticks: 1}, leaveAt0},
	{"3: a crash, a wrong suspicion", rowsOf3, mishaps{crashes: 1, wrong: 1, ticks: 1}, nil},
	{"3: two wrong suspicions", rowsOf3, mishaps{wrong: 2, ticks: 1}, nil},
	{"3: a crash, a cut that heals", rowsOf3, mishaps{crashes: 1, cuts: 1, heals: 1}, nil},
	{"2: all of it", rowsOf2, mishaps{1, 2, 2, 2, 2}, nil},
	{"2: all of it while one joins", rowsOf2, mishaps{1, 1, 1, 1, 1}, joinAt0},
	{"4: a crash", rowsOf4, mishaps{crashes: 1, ticks: 1}, nil},
	{"4: a cut that heals", rowsOf4, mishaps{cuts: 1, heals: 1}, nil},
}

var (
	rowsOf2 = [][]uint64{{2, 0}, {1, 1}}
	rowsOf3 = [][]uint64{{2, 0, 0}, {2, 1, 0}, {1, 0, 1}}
	rowsOf4 = [][]uint64{{2, 0, 0, 0}, {2, 1, 0, 0}, {1, 0, 1, 0}, {0, 1, 0, 1}}
)

func joinAt0(as []*Agreement)  { as[0].Join(person(9, 9)) }
func leaveAt0(as []*Agreement) { as[0].Leave(0) }

// TestExhaustively walks through everything that can happen, in any order, to small
// views that end.
func TestExhaustively(t *testing.T) {
	limit := 1_000_000
	if testing.Short() || raceEnabled {
		limit = 10_000
	}
	for _, g := range begins {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			s, w := newSearch(g, 0, limit)
			s.walk(w)
			s.report(t)
			if len(s.seen) >= limit && limit == 1_000_000 {
				t.Errorf("not walked to the end: more than %d worlds", limit)
			}
			if s.settled == 0 {
				t.Error("no next view was ever decided")
			}
			t.Logf("%d worlds, %d ends, %d of them with a next view", len(s.seen), s.ends, s.settled)
		})
	}
}

func (s *search) report(t *testing.T) {
	t.Helper()
	for property, path := range s.trace {
		t.Errorf("%s is broken by:\n\t%s", property, strings.Join(path, "\n\t"))
	}
}

// TestAtRandom goes single ways through worlds too large to walk everywhere: up to
// five members, any rows, several mishaps.
func TestAtRandom(t *testing.T) {
	runs := 4000
	if testing.Short() || raceEnabled {
		runs = 200
	}
	for n := 3; n <= 5; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			settled := 0
			for seed := range runs {
				dice := rand.New(rand.NewPCG(uint64(n), uint64(seed)))
				g := begin{"", randomRows(dice, n), mishaps{(n - 1) / 2, 2, 2, 2, 3}, nil}
				s, w := newSearch(g, 0, 0)
				s.wander(w, dice)
				if s.report(t); s.done {
					t.Fatalf("seed %d, rows %v", seed, g.rows)
				}
				settled += s.settled
			}
			if t.Logf("%d of %d with a next view", settled, runs); 2*settled < runs {
				t.Error("hardly ever did anybody go on")
			}
		})
	}
}

// randomRows has nobody hold more than a sender itself.
func randomRows(dice *rand.Rand, n int) (rows [][]uint64) {
	for r := range n {
		row := make([]uint64, n)
		for q := range row {
			row[q] = 2
			if q != r {
				row[q] = dice.Uint64N(3)
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// wander goes one way from w.
func (s *search) wander(w *world, dice *rand.Rand) {
	for !s.done {
		if len(s.path) == 5000 { // letters that never end
			s.broken("Liveness")
			return
		}
		moves, bad := s.enabled(w)
		if len(moves) == 0 {
			moves = s.ticks(w)
		}
		switch {
		case len(bad) > 0 && (dice.IntN(8) == 0 || len(moves) == 0):
			moves = bad
		case len(moves) == 0:
			s.settle(w)
			return
		}
		c := moves[dice.IntN(len(moves))]
		s.path = append(s.path, c.String())
		w = s.step(w, c)
	}
}

// TestTheSearchCatchesFlaws: each broken protocol breaks the property that it is
// about; a search that passes one proves nothing.
func TestTheSearchCatchesFlaws(t *testing.T) {
	crashAndSuspicion := mishaps{crashes: 1, wrong: 1, ticks: 1}
	for _, c := range []struct {
		flaw   flaw.Set
		breaks string
		rows   [][]uint64
		left   mishaps
		ask    func([]*Agreement)
	}{
		{flaw.CutByMinimum, "Union", rowsOf3, crashAndSuspicion, nil},
		{flaw.CutByMinimum, "Uniform", rowsOf3, crashAndSuspicion, nil},
		{flaw.AcceptedIgnored, "Agreement", rowsOf3, mishaps{crashes: 1}, joinAt0},
		{flaw.AcceptsUnfetched, "Held", rowsOf3, crashAndSuspicion, nil},
		{flaw.AcceptsUnfetched, "Liveness", rowsOf3, crashAndSuspicion, nil},
		{flaw.AnyHalf, "Agreement", rowsOf2, mishaps{cuts: 1}, nil},
		{flaw.AnyHalf, "Quorum", rowsOf4, mishaps{wrong: 1, crashes: 2}, nil},
		{flaw.PromiseForgotten, "Agreement", rowsOf3, crashAndSuspicion, nil},
		{flaw.InstallsAlone, "Quorum", rowsOf3, crashAndSuspicion, nil},
		{flaw.InstallsAlone, "Agreement", rowsOf3, crashAndSuspicion, nil},
	} {
		t.Run(c.flaw.String()+" "+c.breaks, func(t *testing.T) {
			t.Parallel()
			s, w := newSearch(begin{"", c.rows, c.left, c.ask}, c.flaw, 100_000, c.breaks)
			s.walk(w)
			if s.met[c.breaks] == 0 {
				t.Fatalf("%s has not broken %s in %d worlds", c.flaw, c.breaks, len(s.seen))
			}
			t.Logf("in %d worlds, by %d steps", len(s.seen), len(s.trace[c.breaks]))
		})
	}
}
