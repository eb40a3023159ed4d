package groups

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"cohort/membership"
)

// viewOf returns a view of these members, by age.
func viewOf(num uint64, ids ...uint64) membership.View {
	v := membership.View{Ring: 1, Num: num}
	for i, id := range ids {
		v.Members = append(v.Members, membership.Member{ID: id, Since: int64(i)})
	}
	return v
}

type set map[uint64]bool

func (s set) keep(in set) { maps.DeleteFunc(s, func(id uint64, _ bool) bool { return !in[id] }) }

// naive is a group as one would write it down without ranks.
type naive struct {
	id, views              uint64
	members, stateful, has set
	order                  []uint64 // members, by age in the group
}

// world is a ring's groups told twice, and by the model.
type world struct {
	ids    []uint64 // of the view, by rank
	num    uint64
	fresh  uint64 // ID of who joins the ring next
	table  *Table[int]
	twin   *Table[int]
	groups map[string]*naive
	next   uint64
	used   set
}

func newWorld() *world {
	v := viewOf(1, 101, 102, 103)
	return &world{
		ids: []uint64{101, 102, 103}, num: 1, fresh: 104, table: New[int](v), twin: New[int](v),
		groups: map[string]*naive{}, next: 1, used: set{},
	}
}

var anyName = rapid.SampledFrom([]string{"a", "b", "c", "d"})

func anyOp(ids []uint64) *rapid.Generator[Op] {
	return rapid.Custom(func(t *rapid.T) Op {
		return Op{
			Kind: rapid.SampledFrom([]Kind{Join, Join, Join, Leave, Ready, Restart}).Draw(t, "kind"), Name: anyName.Draw(t, "name"),
			Stateful: rapid.Bool().Draw(t, "stateful"), Serial: rapid.Uint64().Draw(t, "serial"),
			Tried: rapid.SliceOfN(rapid.SampledFrom(append(slices.Clone(ids), 7)), 0, 3).Draw(t, "tried"),
		}
	})
}

// apply carries out an operation everywhere, and compares what came of it.
func (w *world) apply(t *rapid.T) {
	rank := rapid.IntRange(0, len(w.ids)-1).Draw(t, "rank")
	o := anyOp(w.ids).Draw(t, "op")
	e, f := w.table.Apply(rank, o), w.twin.Apply(rank, o)
	if e.Done != f.Done || e.Fresh != f.Fresh || e.Donor != f.Donor {
		t.Fatalf("one table says %+v, the other %+v", e, f)
	}
	want := w.model(w.ids[rank], o)
	got := Effect[int]{Done: e.Done, Fresh: e.Fresh, Donor: e.Donor}
	if got != want {
		t.Fatalf("%+v of %d: %+v, want %+v", o, rank, got, want)
	}
	if e.Donor >= 0 && (e.Group.Ready>>e.Donor&1 == 0 || e.Donor == rank || o.Kind == Restart && slices.Contains(o.Tried, w.ids[e.Donor])) {
		t.Fatalf("%+v of %d: given by %d, which cannot", o, rank, e.Donor)
	}
}

// model is what Apply is to do.
func (w *world) model(from uint64, o Op) Effect[int] {
	e := Effect[int]{Donor: -1}
	g := w.groups[o.Name]
	if in := g != nil && g.members[from]; in == (o.Kind == Join) {
		return e
	}
	e.Done = true
	switch o.Kind {
	case Join:
		if g == nil {
			g = &naive{id: w.next, members: set{}, stateful: set{}, has: set{}}
			w.groups[o.Name], w.used[w.next] = g, true
			w.next++
		}
		g.views++
		g.members[from] = true
		g.order = append(g.order, from)
		if o.Stateful {
			e.Fresh = len(g.stateful) == 0
			e.Donor = w.oldest(g.has)
			g.stateful[from] = true
			if e.Fresh {
				g.has[from] = true
			}
		}
	case Leave:
		g.views++
		delete(g.members, from)
		w.settle(g)
		if len(g.has) == 0 && len(g.stateful) > 0 {
			g.has[w.ids[w.oldest(g.stateful)]] = true
		}
	case Ready:
		if g.stateful[from] {
			g.has[from] = true
		}
	case Restart:
		can := maps.Clone(g.has)
		delete(can, from)
		if len(can) > 0 {
			delete(g.has, from)
		}
		for _, id := range o.Tried {
			delete(can, id)
		}
		e.Donor = w.oldest(can)
	}
	return e
}

// oldest returns the rank of the oldest of these; -1 if there are none.
func (w *world) oldest(of set) int {
	return slices.IndexFunc(w.ids, func(id uint64) bool { return of[id] })
}

// settle has members that are gone forgotten, and groups without any.
func (w *world) settle(g *naive) {
	g.stateful.keep(g.members)
	g.has.keep(g.members)
	g.order = slices.DeleteFunc(g.order, func(id uint64) bool { return !g.members[id] })
	maps.DeleteFunc(w.groups, func(_ string, o *naive) bool { return len(o.members) == 0 })
}

// change goes to another view of the ring: some go, some join.
func (w *world) change(t *rapid.T) {
	stay := set{}
	var ids []uint64
	for _, id := range w.ids {
		if rapid.IntRange(0, 3).Draw(t, "goes") > 0 {
			ids, stay[id] = append(ids, id), true
		}
	}
	joins := rapid.IntRange(0, 3).Draw(t, "joins")
	if len(ids) == 0 {
		joins++
	}
	for range min(joins, membership.MaxMembers-len(ids)) {
		ids = append(ids, w.fresh)
		w.fresh++
	}
	w.num++
	old := w.ids
	next := viewOf(w.num, ids...)
	got, twin := w.table.Change(next), w.twin.Change(next)
	w.ids = ids
	if fmt.Sprint(told(got)) != fmt.Sprint(told(twin)) {
		t.Fatalf("one table tells %v, the other %v", told(got), told(twin))
	}
	if want := w.modelChange(old, stay); !slices.Equal(told(got), want) {
		t.Fatalf("shifts %v, want %v", told(got), want)
	}
}

func told(shifts []Shift[int]) (list []string) {
	for _, s := range shifts {
		list = append(list, fmt.Sprintf("%s %b %d", s.Group.Name, s.Lost, s.Fresh))
	}
	return list
}

// modelChange is what Change is to do.
func (w *world) modelChange(old []uint64, stay set) (list []string) {
	names := slices.SortedFunc(maps.Keys(w.groups), func(a, b string) int { return int(w.groups[a].id) - int(w.groups[b].id) })
	for _, name := range names {
		g := w.groups[name]
		lost := uint64(0)
		for r, id := range old {
			if g.members[id] && !stay[id] {
				lost |= 1 << r
			}
		}
		if lost == 0 {
			continue
		}
		g.views++
		had := len(g.has) > 0
		g.members.keep(stay)
		w.settle(g)
		fresh := -1
		if had && len(g.has) == 0 && len(g.stateful) > 0 {
			fresh = w.oldest(g.stateful)
			g.has[w.ids[fresh]] = true
		}
		list = append(list, fmt.Sprintf("%s %b %d", name, lost, fresh))
	}
	return list
}

// copied has one of the tables go on as what it was read back as.
func (w *world) copied(t *rapid.T) {
	twin, err := Parse[int](viewOf(w.num, w.ids...), w.twin.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	w.twin = twin
}

// check compares the tables with the model.
func (w *world) check(t *rapid.T) {
	if a, b := w.table.Append(nil), w.twin.Append(nil); !bytes.Equal(a, b) {
		t.Fatalf("the tables differ:\n%x\n%x", a, b)
	}
	all := w.table.All()
	if len(all) != len(w.groups) || w.table.Len() != len(w.groups) {
		t.Fatalf("%d groups, Len %d, want %d", len(all), w.table.Len(), len(w.groups))
	}
	last := uint32(0)
	for _, g := range all {
		m := w.groups[g.Name]
		switch {
		case g.ID <= last:
			t.Fatalf("group %d after %d", g.ID, last)
		case m == nil || uint64(g.ID) != m.id || g.Views != m.views:
			t.Fatalf("%+v, want %+v", g, m)
		case w.table.Get(g.ID) != g || w.table.Find(g.Name) != g:
			t.Fatalf("%q cannot be found", g.Name)
		case g.Members != w.ranks(m.members) || g.Stateful != w.ranks(m.stateful) || g.Ready != w.ranks(m.has):
			t.Fatalf("%+v, want %+v", g, m)
		case g.Ready == 0 && g.Stateful != 0:
			t.Fatalf("%+v: nobody has the state, and nobody is to begin anew", g)
		}
		ranks := g.Order.Ranks(g.Members)
		for i, id := range m.order {
			if got := g.Rank(slices.Index(w.ids, id)); got != i || w.ids[ranks[i]] != id {
				t.Fatalf("member %d has rank %d in %v, want %d", id, got, ranks, i)
			}
		}
		last = g.ID
	}
	for id := range w.used {
		if g := w.table.Get(uint32(id)); g != nil && w.groups[g.Name].id != id {
			t.Fatalf("number %d is used again", id)
		}
	}
}

func (w *world) ranks(of set) (mask uint64) {
	for r, id := range w.ids {
		if of[id] {
			mask |= 1 << r
		}
	}
	return mask
}

// TestTable: whatever happens, two tables that are told the same are what the
// model says, whether they were there from the beginning or read on the way.
func TestTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		t.Repeat(map[string]func(*rapid.T){"apply": w.apply, "change": w.change, "copied": w.copied, "": w.check})
	})
}

// TestNoStateIsBegunBesideOneUnderWay: the only one that had the state leaves while
// it gives it to another: that is who has it then, and gives it to a third.
func TestNoStateIsBegunBesideOneUnderWay(t *testing.T) {
	table := New[int](viewOf(1, 1, 2, 3))
	join := Op{Kind: Join, Name: "g", Stateful: true}
	if e := table.Apply(0, join); !e.Fresh || e.Donor != -1 {
		t.Fatalf("first: %+v", e)
	}
	if e := table.Apply(1, join); e.Fresh || e.Donor != 0 {
		t.Fatalf("second: %+v", e)
	}
	table.Apply(0, Op{Kind: Leave, Name: "g"})
	if e := table.Apply(2, join); e.Fresh || e.Donor != 1 || !e.Done {
		t.Errorf("third, while the state is under way: %+v", e)
	}
	table.Apply(1, Op{Kind: Ready, Name: "g"})
	if e := table.Apply(2, Op{Kind: Restart, Name: "g"}); e.Donor != 1 {
		t.Errorf("third, asking again: %+v", e)
	}
}

// TestALateRestartTakesNoStateAway: who begins a group anew had asked for another donor just
// before: the others are given the new state all the same.
func TestALateRestartTakesNoStateAway(t *testing.T) {
	table := New[int](viewOf(1, 1, 2, 3))
	join := Op{Kind: Join, Name: "g", Stateful: true}
	for rank := range 3 {
		table.Apply(rank, join)
	}
	if s := table.Change(viewOf(2, 2, 3)); len(s) != 1 || s[0].Fresh != 0 {
		t.Fatalf("shifts %+v, want the second member to begin anew", s)
	}
	if e := table.Apply(0, Op{Kind: Restart, Name: "g", Tried: []uint64{1}}); e.Donor != -1 {
		t.Errorf("its own Restart, from before: %+v", e)
	}
	if e := table.Apply(1, Op{Kind: Restart, Name: "g"}); e.Donor != 0 {
		t.Errorf("the third starts over: %+v, want the state from the second", e)
	}
}

// TestALossElsewhereBeginsNothing: a state that is under way from one who has left
// the group may arrive, whoever else fails.
func TestALossElsewhereBeginsNothing(t *testing.T) {
	table := New[int](viewOf(1, 1, 2, 3))
	join := Op{Kind: Join, Name: "g", Stateful: true}
	table.Apply(0, join)
	table.Apply(1, join)
	table.Apply(2, Op{Kind: Join, Name: "g"})
	table.Apply(0, Op{Kind: Leave, Name: "g"})
	if s := table.Change(viewOf(2, 1, 2)); len(s) != 1 || s[0].Fresh != -1 {
		t.Errorf("shifts %+v", s)
	}
}

// TestNumbersEnd: past the last there are no more groups, but no number is used twice.
func TestNumbersEnd(t *testing.T) {
	v := viewOf(1, 1)
	head := le.AppendUint32(le.AppendUint32(nil, 1<<32-1), 0)
	table, err := Parse[int](v, head)
	if err != nil {
		t.Fatal(err)
	}
	if e := table.Apply(0, Op{Kind: Join, Name: "last"}); !e.Done || e.Group.ID != 1<<32-1 {
		t.Errorf("%+v", e)
	}
	for range 2 {
		if e := table.Apply(0, Op{Kind: Join, Name: "too many"}); e.Done || e.Group != nil {
			t.Errorf("%+v", e)
		}
		if table, err = Parse[int](v, table.Append(nil)); err != nil || table.Len() != 1 {
			t.Fatal("not the same when read back", err)
		}
	}
}

// TestOldGroupsTakeNoMemory, or the table would grow with time.
func TestOldGroupsTakeNoMemory(t *testing.T) {
	table := New[int](viewOf(1, 1))
	table.Apply(0, Op{Kind: Join, Name: "stays"})
	for i := range 10_000 {
		name := fmt.Sprint(i)
		table.Apply(0, Op{Kind: Join, Name: name})
		table.Apply(0, Op{Kind: Leave, Name: name})
	}
	if len(table.list) > 10 || len(table.byID) != 1 || table.All()[0].Name != "stays" {
		t.Errorf("%d groups are kept, want few", len(table.list))
	}
}

func entry(id uint32, name string, sets ...uint64) []byte {
	g := Group[int]{ID: id, Name: name, Members: sets[0], Stateful: sets[1], Ready: sets[2]}
	return g.append(nil)
}

func ordered(members uint64, o Order) []byte {
	g := Group[int]{ID: 3, Name: "g", Members: members, Order: o}
	return g.append(nil)
}

// TestParseRefuses what no table says.
func TestParseRefuses(t *testing.T) {
	v := viewOf(1, 1, 2)
	head := func(next, count uint32, entries ...[]byte) []byte {
		return append(le.AppendUint32(le.AppendUint32(nil, next), count), bytes.Join(entries, nil)...)
	}
	good := entry(3, "g", 3, 1, 1)
	if _, err := Parse[int](v, head(4, 1, good)); err != nil {
		t.Fatal(err)
	}
	if _, err := Parse[int](v, head(4, 1, ordered(3, "\x01\x00"))); err != nil {
		t.Fatal(err)
	}
	for what, b := range map[string][]byte{
		"nothing":                      nil,
		"half a head":                  {1, 2, 3, 4, 5, 6, 7},
		"fewer groups":                 head(4, 2, good),
		"more groups":                  head(5, 1, good, entry(4, "h", 1, 0, 0)),
		"half a group":                 head(4, 1, good[:20]),
		"half a name":                  head(4, 1, good[:len(good)-1]),
		"number 0":                     head(4, 1, entry(0, "g", 1, 0, 0)),
		"a number to come":             head(3, 1, good),
		"a number twice":               head(4, 2, good, entry(3, "h", 1, 0, 0)),
		"not in order":                 head(4, 2, good, entry(2, "h", 1, 0, 0)),
		"a name twice":                 head(5, 2, good, entry(4, "g", 1, 0, 0)),
		"no name":                      head(4, 1, entry(3, "", 1, 0, 0)),
		"no members":                   head(4, 1, entry(3, "g", 0, 0, 0)),
		"members of no view":           head(4, 1, entry(3, "g", 4, 0, 0)),
		"state of no member":           head(4, 1, entry(3, "g", 1, 2, 0)),
		"having but no state":          head(4, 1, entry(3, "g", 1, 0, 1)),
		"half an order":                head(4, 1, ordered(3, "\x01")),
		"one twice in order":           head(4, 1, ordered(3, "\x01\x00\x01")),
		"order of no member":           head(4, 1, ordered(3, "\x02\x01\x00")),
		"order past any rank":          head(4, 1, ordered(3, "\xff\x00")),
		"an order that is of the ring": head(4, 1, ordered(3, "\x00\x01")),
	} {
		if _, err := Parse[int](v, b); err == nil {
			t.Errorf("%s: read", what)
		}
	}
}

// TestAWordOfFourBytes does not make Parse allocate what it says.
func TestAWordOfFourBytes(t *testing.T) {
	b := le.AppendUint32(le.AppendUint32(nil, 1<<26), 1<<25)
	v := viewOf(1, 1)
	if got := allocated(func() { _, _ = Parse[int](v, b) }); got > 1<<16 {
		t.Errorf("%d bytes allocated for %d", got, len(b))
	}
}

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestOpRoundTrip: an operation is what its bytes say.
func TestOpRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := anyOp([]uint64{1, 2}).Draw(t, "op")
		o.Name = string(rapid.SliceOfN(rapid.Byte(), 1, MaxName).Draw(t, "name"))
		if len(o.Tried) == 0 {
			o.Tried = nil
		}
		got, ok := ParseOp(o.Append(nil))
		if !ok || !reflect.DeepEqual(got, o) {
			t.Fatalf("%+v, %v, want %+v", got, ok, o)
		}
	})
}

func FuzzParseOp(f *testing.F) {
	f.Add(Op{Kind: Join, Name: "g", Stateful: true, Serial: 7}.Append(nil))
	f.Add(Op{Kind: Restart, Name: "g", Serial: 7, Tried: []uint64{1, 2}}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, ok := ParseOp(b)
		if !ok {
			return
		}
		if again := o.Append(nil); !bytes.Equal(again, b) {
			t.Errorf("%x is written as %x", b, again)
		}
		table := New[int](viewOf(1, 1, 2))
		table.Apply(0, Op{Kind: Join, Name: o.Name, Stateful: true})
		table.Apply(1, o)
	})
}

func FuzzParseTable(f *testing.F) {
	table := New[int](viewOf(1, 1, 2))
	for _, name := range []string{"a", "b", "c"} {
		table.Apply(0, Op{Kind: Join, Name: name, Stateful: true})
	}
	table.Apply(0, Op{Kind: Leave, Name: "b"})
	table.Apply(1, Op{Kind: Join, Name: "c", Stateful: true})
	f.Add(uint8(2), table.Append(nil))
	f.Add(uint8(1), le.AppendUint32(le.AppendUint32(nil, 1<<26), 1<<31))
	f.Fuzz(func(t *testing.T, n uint8, b []byte) {
		ids := make([]uint64, n%membership.MaxMembers+1)
		for i := range ids {
			ids[i] = uint64(i + 1)
		}
		got, err := Parse[int](viewOf(1, ids...), b)
		if err != nil {
			return
		}
		if again := got.Append(nil); !bytes.Equal(again, b) {
			t.Fatalf("%x is written as %x", b, again)
		}
		got.Apply(0, Op{Kind: Join, Name: "new", Stateful: true})
		got.Change(viewOf(2, ids[len(ids)-1], 1000))
		got.Append(nil)
	})
}

const many = 100_000

func manyGroups() (*Table[int], []string) {
	table := New[int](viewOf(1, 1, 2, 3))
	names := make([]string, many)
	for i := range names {
		names[i] = fmt.Sprintf("group/%d", i)
		for r := range 3 {
			table.Apply(r, Op{Kind: Join, Name: names[i], Stateful: true})
		}
	}
	return table, names
}

func BenchmarkApply(b *testing.B) {
	table, names := manyGroups()
	kinds := []Kind{Leave, Join, Ready}
	for i := 0; b.Loop(); i++ {
		table.Apply(2, Op{Kind: kinds[i%3], Name: names[i/3%many], Stateful: true})
	}
}

func BenchmarkGet(b *testing.B) {
	table, _ := manyGroups()
	for i := uint32(0); b.Loop(); i++ {
		if table.Get(i*7919%many+1) == nil {
			b.Fatal("not there")
		}
	}
}

// BenchmarkChange has a member of all groups go, and another come.
func BenchmarkChange(b *testing.B) {
	table, _ := manyGroups()
	for i := uint64(2); b.Loop(); i++ {
		table.Change(viewOf(i, 1, 2, i+2))
	}
}

func BenchmarkAppend(b *testing.B) {
	table, _ := manyGroups()
	var buf []byte
	for b.Loop() {
		buf = table.Append(buf[:0])
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkParse(b *testing.B) {
	table, _ := manyGroups()
	buf, v := table.Append(nil), viewOf(1, 1, 2, 3)
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		if _, err := Parse[int](v, buf); err != nil {
			b.Fatal(err)
		}
	}
}

// TestATableFitsALetter: one that did not could be sent to nobody, and nobody could join the
// ring any more. What would make it too large is refused, everywhere alike.
func TestATableFitsALetter(t *testing.T) {
	v := viewOf(1, 101, 102, 103)
	r := NewRoster[int]()
	r.Enter(v, 0)
	name := func(i int) string { return fmt.Sprintf("%0255d", i) }
	join := func(rank, i int) Effect[int] { return r.Table.Apply(rank, Op{Kind: Join, Name: name(i)}) }
	n := 0
	for ; !join(2, n).Full; n++ {
		if n > 100_000 {
			t.Fatalf("%d groups with long names", n)
		}
	}
	if least := 16 << 20 / (entrySize + MaxName) * 99 / 100; n < least {
		t.Errorf("%d groups, want %d at least", n, least)
	}
	joined := 0
	for ; joined < n && !join(0, joined).Full; joined++ { // an older one: the groups' order must be told
	}
	if joined == n {
		t.Error("all have room for their order")
	}
	check := func() {
		t.Helper()
		letter := r.letter()
		if k := len(letter.Append(nil)); k > 16<<20 {
			t.Errorf("a letter of %d bytes", k)
		}
		again, err := Parse[int](v, letter.Blob[5:])
		if err != nil || again.size != r.Table.size {
			t.Fatalf("read again it takes %d bytes, %v; want %d", again.size, err, r.Table.size)
		}
	}
	check()
	for i := range 1000 {
		r.Table.Apply(0, Op{Kind: Leave, Name: name(i)})
		r.Table.Apply(2, Op{Kind: Leave, Name: name(i)})
	}
	check()
	if e := join(1, n); !e.Done || e.Full {
		t.Error("no room where others have left")
	}
	r.Pass(viewOf(2, 102, 103), 0)
	v = viewOf(2, 102, 103)
	check()
}
