package groups

import "testing"

// TestStateOfTheLost: what a donor had delivered, and nobody who goes on has, is no
// state to go on with.
func TestStateOfTheLost(t *testing.T) {
	at := func(ring uint64, next ...uint64) Label {
		return Label{Ring: ring, Next: next, Pos: make([]uint32, len(next))}
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
