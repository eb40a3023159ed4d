package groups

import "testing"

// TestStateOfTheLost: what a donor had delivered, and nobody who goes on has, is no
// state to go on with.
func TestStateOfTheLost(t *testing.T) {
	at := func(ring uint64, next ...uint64) Label {
		return Label{Ring: ring, Next: next, Pos: make([]uint32, len(next))}
	}
	ordered := func(l Label, records, after uint64) Label {
		l.Records, l.After = records, after
		return l
	}
	for _, c := range []struct {
		what       string
		state      Label
		ends       []Label
		now        Label
		yes, known bool
	}{
		{"all of it is here", at(1, 5, 6), nil, at(1, 5, 7), true, true},
		{"some has not come yet", at(1, 5, 6), nil, at(1, 4, 7), false, false},
		{"part of a packet has not", Label{Ring: 1, Next: []uint64{5}, Pos: []uint32{2}}, nil, Label{Ring: 1, Next: []uint64{5}, Pos: []uint32{1}}, false, false},
		{"it came before the view ended", at(1, 5, 6), []Label{at(1, 5, 6)}, at(2, 1), true, true},
		{"it did not", at(1, 5, 6), []Label{at(1, 5, 5)}, at(2, 1), false, true},
		{"of a view that this member was not in", at(3, 5), []Label{at(1, 5)}, at(2, 9), false, true},
		{"of fewer members than there were", at(1, 5, 6), nil, at(1, 9), false, false},
		{"a record of its order has not come yet", ordered(at(1, 5), 3, 0), nil, ordered(at(1, 5), 2, 0), false, false},
		{"a record of its order was lost", ordered(at(1, 5), 3, 0), []Label{ordered(at(1, 5), 2, 2)}, at(2, 1), false, true},
		{"it was followed by more records", ordered(at(1, 5), 3, 0), []Label{ordered(at(1, 5), 4, 2)}, at(2, 1), true, true},
		{"its donor was finishing the view, this member is not", ordered(at(1, 5), 3, 2), nil, ordered(at(1, 5), 3, 0), false, false},
		{"its donor went to the same view", ordered(at(1, 5), 3, 2), []Label{ordered(at(1, 5), 3, 2)}, at(2, 1), true, true},
		{"its donor went to another view", ordered(at(1, 5), 3, 2), []Label{ordered(at(1, 5), 3, 9)}, at(9, 1), false, true},
		{"nobody's: the group begins anew", Label{Fresh: true}, nil, at(1, 9), true, true},
	} {
		f := NewFilter(1)
		f.Restored(c.state)
		for _, end := range c.ends {
			f.Ended(end)
		}
		if yes, known := f.Binds(c.now); yes != c.yes || known != c.known {
			t.Errorf("%s: %v, known %v; want %v, %v", c.what, yes, known, c.yes, c.known)
		}
	}
}
