package groups

import (
	"reflect"
	"testing"

	"cohort/membership"
	"cohort/order"
)

func TestLabelBytes(t *testing.T) {
	l := Label{Ring: 7, Num: 3, Records: 1 << 33, After: 1 << 63}
	l.Add(10, 16)
	l.Add(1<<40, 0)
	got, err := ParseLabel(l.Append(nil))
	if err != nil || !reflect.DeepEqual(got, l) {
		t.Errorf("got %+v, %v, want %+v", got, err, l)
	}
	for _, b := range [][]byte{nil, make([]byte, labelHead-1), make([]byte, labelHead+1), make([]byte, MaxLabel+labelEntry)} {
		if _, err := ParseLabel(b); err == nil {
			t.Errorf("%d bytes are a label", len(b))
		}
	}
}

func TestRecordBytes(t *testing.T) {
	for _, r := range []Record{
		{Mark: Message, At: 9, Kind: 1, Level: order.Total, Pos: 1 << 20, Rank: 63, Sender: 1 << 60, Payload: []byte("x")},
		{Mark: View, At: 4}, {Mark: Ring, At: 1 << 63}, {Mark: Offer, At: 0},
	} {
		a, b := r.Words()
		if got, err := ParseRecord(a, b, r.Append(nil)); err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("got %+v, %v, want %+v", got, err, r)
		}
	}
	if _, err := ParseRecord(uint64(Message), 0, make([]byte, recordHead-1)); err == nil {
		t.Error("a message without its sender is a record")
	}
	if _, err := ParseRecord(uint64(Offer)+1, 0, nil); err == nil {
		t.Error("an unknown mark is a record")
	}
}

// TestFilter reads records of three views of the ring, of which the state was taken
// in the second, in view 5 of the group.
func TestFilter(t *testing.T) {
	l := Label{Ring: 20, Num: 5}
	l.Add(8, 32)
	l.Add(1, 0)
	f := NewFilter(10)
	f.Restored(l)
	for i, c := range []struct {
		r    Record
		skip bool
	}{
		{Record{At: 99}, true},
		{Record{Mark: Offer}, false},
		{Record{Mark: Ring, At: 20}, true},
		{Record{At: 7, Pos: 999}, true},
		{Record{At: 8, Pos: 16}, true},
		{Record{At: 8, Pos: 32}, false},
		{Record{At: 9}, false},
		{Record{At: 1, Rank: 1}, false},
		{Record{At: 1, Rank: 2}, false},
		{Record{Mark: View, At: 5}, true},
		{Record{Mark: View, At: 6}, false},
		{Record{At: 8}, true}, // its donor was ahead
		{Record{Mark: Ring, At: 30}, true},
		{Record{At: 1}, false},
	} {
		if skip := f.Skips(&c.r); skip != c.skip {
			t.Errorf("record %d, %+v: skipped is %v", i, c.r, skip)
		}
	}
}

// TestCover: who has a state that is ahead of what it has delivered says so.
func TestCover(t *testing.T) {
	var given, own Label
	given.Ring, own.Ring = 20, 20
	given.Records, own.Records, given.After = 5, 4, 30
	given.Add(8, 32)
	given.Add(3, 0)
	own.Add(8, 16)
	own.Add(4, 0)
	f := NewFilter(20)
	f.Restored(given)
	f.Cover(&own)
	if want := []uint64{8, 4}; !reflect.DeepEqual(own.Next, want) || own.Pos[0] != 32 || own.Pos[1] != 0 || own.Records != 5 || own.After != 30 {
		t.Errorf("got %+v", own)
	}
	own.Ring, own.Next[0] = 30, 1
	if f.Cover(&own); own.Next[0] != 1 {
		t.Error("a label of another view of the ring is covered")
	}
}

// TestRosterIsHandedOn: a table with operations in it comes to one who has kept
// them, and goes on to another with all that it contains.
func TestRosterIsHandedOn(t *testing.T) {
	v := membership.View{Ring: 1, Num: 2, Members: []membership.Member{{ID: 1, Joined: 1}, {ID: 2, Joined: 2}, {ID: 3, Joined: 2}}}
	old, a, b := NewRoster[int](), NewRoster[int](), NewRoster[int]()
	first := membership.View{Ring: 1, Num: 1, Members: v.Members[:1]}
	old.Enter(first, 0)
	old.Pass(v, 0)
	a.Enter(v, 1)
	b.Enter(v, 2)
	ops := []Op{{Kind: Join, Name: "x"}, {Kind: Leave, Name: "x"}, {Kind: Join, Name: "x"}}
	for _, o := range ops {
		if !old.Op(0, o) || a.Op(0, o) || b.Op(0, o) {
			t.Fatal("an operation is carried out by one who has no table, or not by one who has")
		}
		old.Table.Apply(0, o)
	}
	hand := func(from, to *Roster[int], id uint64) {
		posts, _ := from.Letter(id, membership.Letter{Kind: membership.WantState, View: v.Key()}, false)
		if len(posts) != 1 {
			t.Fatalf("%d letters answer one who asks", len(posts))
		}
		if _, err := to.Letter(v.Members[from.self].ID, posts[0].Letter, false); err != nil {
			t.Fatal(err)
		}
		rest, ok := to.Learned()
		if !ok || len(rest) != 0 {
			t.Errorf("learned %v, and %d operations to be carried out on it, want none", ok, len(rest))
		}
	}
	hand(old, a, 2)
	hand(a, b, 3)
	if string(b.Table.Append(nil)) != string(old.Table.Append(nil)) {
		t.Error("the tables differ")
	}
}

// TestLastReadyLeaves: its state lives on with who was getting it.
func TestLastReadyLeaves(t *testing.T) {
	table := New[int](membership.View{Num: 1, Members: make([]membership.Member, 3)})
	for r := range 2 {
		table.Apply(r, Op{Kind: Join, Name: "x", Stateful: true})
	}
	table.Apply(0, Op{Kind: Leave, Name: "x"})
	if e := table.Apply(2, Op{Kind: Join, Name: "x", Stateful: true}); e.Fresh || e.Donor != 1 {
		t.Errorf("the next one begins anew (%v), or gets the state from %d", e.Fresh, e.Donor)
	}
}
