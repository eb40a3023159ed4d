package groups

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"cohort/membership"
)

// viewOfRing returns view num of a ring, of members with these IDs; those in joined
// joined by it.
func viewOfRing(num uint64, ids []uint64, joined ...uint64) membership.View {
	v := membership.View{Ring: 7, Num: num}
	for _, id := range ids {
		m := membership.Member{ID: id, Since: int64(id), Joined: 1}
		if slices.Contains(joined, id) {
			m.Joined = num
		}
		v.Members = append(v.Members, m)
	}
	return v
}

func joinOf(name string) Op { return Op{Kind: Join, Name: name} }

// tableAt returns the letter of one who has delivered ops operations, and has groups
// with these names.
func tableAt(v membership.View, ops uint32, names ...string) membership.Letter {
	table := New[int](v)
	for _, name := range names {
		table.Apply(0, joinOf(name))
	}
	b := binary.LittleEndian.AppendUint32([]byte{1}, ops)
	return membership.Letter{Kind: membership.State, View: v.Key(), Num: v.Num, Blob: table.Append(b)}
}

// carryOut does what the roster says is to be done.
func carryOut(r *Roster[int]) {
	if ops, ok := r.Learned(); ok {
		for _, o := range ops {
			r.Table.Apply(o.Sender, o.Op)
		}
	}
}

// TestLateRosterCounts: who gets the table later in a view carries out the rest, and
// passes the table on with the place in the order that it then belongs to.
func TestLateRosterCounts(t *testing.T) {
	v := viewOfRing(2, []uint64{1, 2}, 2)
	r := NewRoster[int]()
	r.Enter(v, 1)
	for _, name := range []string{"a", "b", "c"} {
		if r.Op(0, joinOf(name)) {
			t.Fatal("an operation is to be carried out on a table that is not there")
		}
	}
	letter := func(l membership.Letter) {
		if _, err := r.Letter(1, l, false); err != nil {
			t.Fatal(err)
		}
		carryOut(r)
	}
	if letter(tableAt(v, 4, "a", "b", "c", "d")); r.Known() {
		t.Fatal("a table of what has yet to be delivered is taken")
	}
	if letter(tableAt(v, 2, "a", "b")); !r.Known() || r.Table.Len() != 3 {
		t.Fatalf("known %v, %d groups, want 3", r.Known(), r.Table.Len())
	}
	posts, _ := r.Letter(1, membership.Letter{Kind: membership.WantState, View: v.Key(), Num: v.Num}, false)
	if len(posts) != 1 || binary.LittleEndian.Uint32(posts[0].Blob[1:]) != 3 {
		t.Errorf("passes on %+v, want the table as of 3 operations", posts)
	}
}

// TestATableOfAViewThatIsBeingFinished: a donor that was cut off has delivered two operations
// as records say that are lost with it, and the others deliver them in the order of ranks. Its
// table contains as many operations as they have delivered, and is another.
func TestATableOfAViewThatIsBeingFinished(t *testing.T) {
	v := viewOfRing(2, []uint64{1, 2, 3}, 3)
	first := viewOfRing(1, []uint64{1, 2})
	donors, joiners := [2]*Roster[int]{}, [2]*Roster[int]{}
	ops := []Ordered{{1, joinOf("a")}, {2, joinOf("b")}}
	for i := range 2 {
		d, j := NewRoster[int](), NewRoster[int]()
		d.Enter(first, i)
		d.Pass(v, i)
		j.Enter(v, 2)
		for k := range ops {
			o := ops[(i+k)%2]
			d.Op(o.Sender, o.Op)
			d.Table.Apply(o.Sender, o.Op)
			j.Op(o.Sender, o.Op)
		}
		donors[i], joiners[i] = d, j
	}
	want := membership.Letter{Kind: membership.WantState, View: v.Key(), Num: v.Num}
	for _, c := range []struct {
		what              string
		donor             *Roster[int]
		donorEnds, itEnds bool
	}{
		{"the donor's records are lost", donors[1], false, true},
		{"the donor ends the view otherwise", donors[1], true, false},
		{"both end it, each in its way", donors[1], true, true},
		{"the records are known to both", donors[0], false, false},
	} {
		posts, _ := c.donor.Letter(3, want, c.donorEnds)
		for _, p := range posts {
			if _, err := joiners[0].Letter(1, p.Letter, c.itEnds); err != nil {
				t.Fatal(err)
			}
		}
		carryOut(joiners[0])
		honest := c.donor == donors[0]
		if joiners[0].Known() != honest {
			t.Fatalf("%s: known %v, want %v", c.what, joiners[0].Known(), honest)
		}
	}
	if got, want := joiners[0].Table.Append(nil), donors[0].Table.Append(nil); !bytes.Equal(got, want) {
		t.Errorf("the table is %x, want %x", got, want)
	}
}

// TestABeginningIsGivenToTheEnd: the table as of the beginning of a view is the same
// whatever that is followed by.
func TestABeginningIsGivenToTheEnd(t *testing.T) {
	v := viewOfRing(2, []uint64{1, 2}, 2)
	d, j := NewRoster[int](), NewRoster[int]()
	d.Enter(viewOfRing(1, []uint64{1}), 0)
	d.Table.Apply(0, joinOf("a"))
	d.Pass(v, 0)
	j.Enter(v, 1)
	posts, _ := d.Letter(2, membership.Letter{Kind: membership.WantState, View: v.Key(), Num: v.Num}, true)
	if len(posts) != 1 {
		t.Fatalf("%d letters answer one who asks", len(posts))
	}
	if _, err := j.Letter(1, posts[0].Letter, true); err != nil || !j.Known() || j.Table.Len() != 1 {
		t.Errorf("known %v, %d groups, %v; want 1", j.Known(), j.Table.Len(), err)
	}
}

// TestRosterOfNobody: one that is alone has nobody to ask, and begins without groups;
// so do those who all say that they have no table.
func TestRosterOfNobody(t *testing.T) {
	alone := NewRoster[int]()
	alone.Enter(viewOfRing(5, []uint64{9}), 0)
	alone.Op(0, joinOf("a"))
	if _, err := alone.Ask(1); err != nil {
		t.Fatal(err)
	}
	if carryOut(alone); !alone.Known() || alone.Table.Len() != 1 {
		t.Errorf("alone: known %v, %d groups, want 1", alone.Known(), alone.Table.Len())
	}
	v := viewOfRing(5, []uint64{7, 8, 9})
	r := NewRoster[int]()
	r.Enter(v, 2)
	none := membership.Letter{Kind: membership.State, View: v.Key(), Num: v.Num, Blob: []byte{0}}
	for i, from := range []uint64{7, 7, 99, 8} {
		if r.Known() {
			t.Fatalf("it begins anew after %d answers, of which one member's are missing", i)
		}
		if _, err := r.Letter(from, none, false); err != nil {
			t.Fatal(err)
		}
	}
	if !r.Known() {
		t.Error("all have said that they have no table, and it waits for one")
	}
}

// TestEarlyRosters: a table that comes before the view does is taken when that has
// begun, if it is one and is from a member.
func TestEarlyRosters(t *testing.T) {
	v := viewOfRing(2, []uint64{1, 2}, 2)
	for name, c := range map[string]struct {
		from  uint64
		blob  func(whole []byte) []byte
		known int
	}{
		"from a member":   {1, func(b []byte) []byte { return b }, 2},
		"from a stranger": {9, func(b []byte) []byte { return b }, 0},
		"without a table": {1, func(b []byte) []byte { return b[:1] }, 0},
		"with half a one": {1, func(b []byte) []byte { return b[:20] }, 0},
		"empty":           {1, func([]byte) []byte { return nil }, 0},
	} {
		r := NewRoster[int]()
		l := tableAt(v, 0, "a", "b")
		l.Blob = c.blob(l.Blob)
		_, _ = r.Letter(c.from, l, false) // what is wrong with it shows later
		r.Enter(v, 1)
		_, _ = r.Ask(1)
		if carryOut(r); r.Table.Len() != c.known {
			t.Errorf("%s: %d groups, want %d", name, r.Table.Len(), c.known)
		}
	}
}

// TestTheOldestTellsWhoJoins, and nobody else; who gets nothing asks everybody.
func TestTheOldestTellsWhoJoins(t *testing.T) {
	first, next := viewOfRing(1, []uint64{1, 2}), viewOfRing(2, []uint64{1, 2, 3}, 3)
	for rank := range 2 {
		r := NewRoster[int]()
		r.Enter(first, rank)
		r.Pass(next, rank)
		if posts := r.Welcome(); len(posts) != 1-rank || rank == 0 && posts[0].To != 3 {
			t.Errorf("rank %d writes %+v", rank, posts)
		}
	}
	r := NewRoster[int]()
	r.Enter(next, 2)
	asked := 0
	for now := int64(askEvery); now < 5*askEvery; now = r.Due() {
		posts, _ := r.Ask(now)
		asked += len(posts)
	}
	if asked != 4 {
		t.Errorf("asks %d times, want both members twice", asked)
	}
}

// TestALargeTableIsNotAskedForAgainAndAgain: it takes longer than a small one, and every
// answer is another one behind it in the same connection.
func TestALargeTableIsNotAskedForAgainAndAgain(t *testing.T) {
	r := NewRoster[int]()
	v := viewOf(2, 101, 102, 103)
	r.Enter(v, 2)
	asks := 0
	for now := int64(1_000_000_000); now < 2_000_000_000; now += 1_000_000 {
		posts, err := r.Ask(now)
		if err != nil {
			t.Fatal(err)
		}
		asks += len(posts) / 2
		if due := r.Due(); due <= now {
			t.Fatalf("due at %d, asked at %d", due, now)
		}
	}
	if asks < 3 || asks > 5 {
		t.Errorf("asked %d times in a second, want 3 to 5", asks)
	}
}
