package chaos

import (
	"iter"
	"maps"
	"slices"
	"testing"

	"cohort/order"
)

// story tells a history as its members would, without a flaw: who is p1 has ID 1.
type story struct {
	journals map[int][]Record
	states   map[int]*state
}

// ringIs has members see a view of the ring.
func (s *story) ringIs(num uint32, members ...int) {
	for _, p := range members {
		s.say(p, Record{Kind: Ring, Num: num, ID: 1000 + uint64(num), Args: []uint64{100, uint64(p)}})
	}
}

func (s *story) say(p int, r Record) { s.journals[p] = append(s.journals[p], r) }

// viewIs hands members a view of the group.
func (s *story) viewIs(num uint32, flags uint8, ids []uint64, members ...int) {
	for _, p := range members {
		r := Record{Kind: View, Num: num, Flags: flags, Args: ids}
		if flags&FlagFresh != 0 {
			r.ID = 7
			*s.states[p] = newState(r.ID)
		}
		s.say(p, r)
		s.states[p].goTo(uint64(num), ids)
	}
}

// welcome gives p the state of donor.
func (s *story) welcome(p, donor int) {
	s.say(donor, Record{Kind: Snapshot, ID: s.states[donor].digest()})
	s.say(p, Record{Kind: Session})
	r := s.states[donor].record()
	s.say(p, r)
	*s.states[p], _ = restored(r)
}

// send has p send a message.
func (s *story) send(p int, num uint32, l order.Level) {
	s.say(p, Record{Kind: Try, Level: l, Num: num})
	s.say(p, Record{Kind: Sent, Num: num})
}

// deliver hands it to members.
func (s *story) deliver(from int, num uint32, l order.Level, members ...int) {
	k := sender{uint64(from), 0}
	for _, p := range members {
		s.say(p, Record{Kind: Deliver, Level: l, Num: num, ID: k.id})
		s.states[p].has(k, num)
		if l.Order() == order.Total {
			s.states[p].total(k, num)
		}
	}
}

// told is a history of three: p2 and then p3 join, p2 fails, p3 leaves.
func told() *story {
	s := &story{map[int][]Record{}, map[int]*state{1: {}, 2: {}, 3: {}}}
	s.say(1, Record{Kind: Session})
	s.ringIs(1, 1)
	s.viewIs(1, FlagFresh, []uint64{1}, 1)
	s.send(1, 1, order.FIFO)
	s.deliver(1, 1, order.FIFO, 1)
	s.viewIs(2, 0, []uint64{1, 2}, 1)
	s.welcome(2, 1)
	s.ringIs(1, 2)
	s.say(2, Record{Kind: View, Num: 2, Args: []uint64{1, 2}})
	s.send(2, 1, order.Causal)
	s.deliver(2, 1, order.Causal, 1, 2)
	s.ringIs(2, 1, 2)
	s.viewIs(3, 0, []uint64{1, 2, 3}, 1, 2)
	s.welcome(3, 1)
	s.ringIs(2, 3)
	s.say(3, Record{Kind: View, Num: 3, Args: []uint64{1, 2, 3}})
	s.send(3, 1, order.FIFO)
	s.deliver(3, 1, order.FIFO, 1, 2, 3)
	s.send(1, 2, order.Total)
	s.deliver(1, 2, order.Total, 1, 2, 3)
	s.send(2, 2, order.Total)
	s.deliver(2, 2, order.Total, 1, 2, 3)
	s.send(3, 2, order.FIFO.Safe())
	s.send(3, 3, order.FIFO)
	s.deliver(3, 2, order.FIFO.Safe(), 1, 2, 3)
	s.deliver(3, 3, order.FIFO, 1, 3)
	s.ringIs(3, 1, 3)
	s.viewIs(4, FlagFailure, []uint64{1, 3}, 1, 3)
	s.send(3, 4, order.FIFO)
	s.deliver(3, 4, order.FIFO, 1, 3)
	s.say(3, Record{Kind: View, Num: 5, Flags: FlagDeparted, Args: []uint64{1}})
	s.viewIs(5, 0, []uint64{1}, 1)
	s.send(1, 3, order.Total.Safe())
	s.deliver(1, 3, order.Total.Safe(), 1)
	s.say(1, Record{Kind: End})
	return s
}

// find returns where p has the delivery of this message.
func (s *story) find(p, from int, num uint32) int {
	return slices.IndexFunc(s.journals[p], func(r Record) bool { return r.Kind == Deliver && r.ID == uint64(from) && r.Num == num })
}

func (s *story) first(p int, k Kind, num uint32) *Record {
	return &s.journals[p][slices.IndexFunc(s.journals[p], func(r Record) bool { return r.Kind == k && r.Num == num })]
}

// forget takes a delivery out.
func (s *story) forget(p, from int, num uint32) {
	i := s.find(p, from, num)
	s.journals[p] = slices.Delete(s.journals[p], i, i+1)
}

// swap exchanges two deliveries.
func (s *story) swap(p, fromA int, a uint32, fromB int, b uint32) {
	i, j := s.find(p, fromA, a), s.find(p, fromB, b)
	s.journals[p][i], s.journals[p][j] = s.journals[p][j], s.journals[p][i]
}

func (s *story) check() ([]Violation, Summary) {
	all := map[string]iter.Seq[Record]{}
	for p, list := range s.journals {
		all[nameOf(p)] = slices.Values(list)
	}
	return Check(all)
}

func TestGoodHistory(t *testing.T) {
	list, sum := told().check()
	for _, v := range list {
		t.Error(v)
	}
	if want := (Summary{Sent: 9, Delivered: 20, Views: 10, Rings: 7, Restores: 2, Compared: 3}); sum != want {
		t.Errorf("%+v, want %+v", sum, want)
	}
}

// TestCorruptHistories: each property catches a history that breaks it.
func TestCorruptHistories(t *testing.T) {
	spoil := map[string]func(s *story){
		"SelfInclusion":     func(s *story) { s.first(2, View, 3).Args = []uint64{1, 3} },
		"LocalMonotonicity": func(s *story) { s.first(1, View, 3).Num = 2 },
		"PrimaryComponent":  func(s *story) { s.first(2, Ring, 2).ID = 5 },
		"Integrity":         func(s *story) { s.journals[1][s.find(1, 3, 4)].Num = 99 },
		"NoDuplication": func(s *story) {
			i := s.find(1, 3, 2)
			s.journals[1] = slices.Insert(s.journals[1], i, s.journals[1][i])
		},
		"SelfDelivery": func(s *story) { s.forget(3, 3, 4) },
		"SameViewDelivery": func(s *story) {
			i, list := s.find(1, 3, 3), s.journals[1]
			list[i], list[i+1], list[i+2] = list[i+1], list[i+2], list[i]
		},
		"VirtualSynchrony": func(s *story) { s.forget(1, 3, 3) },
		"FIFO":             func(s *story) { s.swap(1, 3, 2, 3, 3) },
		"Causal": func(s *story) {
			s.say(2, Record{Kind: Try, Level: order.Causal, Num: 3})
			s.journals[1] = slices.Insert(s.journals[1], s.find(1, 3, 2), Record{Kind: Deliver, Level: order.Causal, Num: 3, ID: 2})
		},
		"Total": func(s *story) { s.swap(3, 1, 2, 2, 2) },
		"Safe": func(s *story) {
			for _, p := range []int{1, 3} {
				s.forget(p, 3, 2)
				s.forget(p, 3, 3)
			}
		},
		"StateTransfer": func(s *story) { s.journals[3][slices.IndexFunc(s.journals[3], isRestore)].Entries[0].Num += 5 },
		"Liveness":      func(s *story) { s.forget(1, 1, 3) },
	}
	for _, p := range Properties {
		t.Run(p, func(t *testing.T) {
			s := told()
			if spoil[p] == nil {
				t.Fatal("nothing breaks it")
			}
			spoil[p](s)
			list, _ := s.check()
			if !slices.ContainsFunc(list, func(v Violation) bool { return v.Property == p }) {
				t.Errorf("not caught; found %v", list)
			}
		})
	}
}

func isRestore(r Record) bool { return r.Kind == Restore }

// TestSafeOrder: the place of a safe message in the total order binds too.
func TestSafeOrder(t *testing.T) {
	s := told()
	s.send(2, 3, order.Total.Safe())
	s.deliver(2, 3, order.Total.Safe(), 2)
	list, _ := s.check()
	if !slices.ContainsFunc(list, func(v Violation) bool { return v.Property == "Safe" }) {
		t.Errorf("not caught; found %v", list)
	}
}

// TestEndsDiffer: who takes part to the end has the same in the end.
func TestEndsDiffer(t *testing.T) {
	s := told()
	i := slices.IndexFunc(s.journals[3], func(r Record) bool { return r.Flags&FlagDeparted != 0 })
	s.journals[3][i] = Record{Kind: End}
	list, _ := s.check()
	if !slices.ContainsFunc(list, func(v Violation) bool { return v.Property == "Liveness" }) {
		t.Errorf("not caught; found %v", list)
	}
}

// TestStateTravels: what is encoded is decoded.
func TestStateTravels(t *testing.T) {
	s := newState(9)
	s.has(sender{5, 1}, 77)
	s.goTo(3, []uint64{5})
	s.total(sender{5, 1}, 78)
	rec, err := decode(encode(s.record(), 100))
	if err != nil {
		t.Fatal(err)
	}
	if back, ok := restored(rec); !ok || back.digest() != s.digest() || !maps.Equal(back.last, s.last) {
		t.Errorf("%+v, want %+v", back, s)
	}
	for _, b := range [][]byte{nil, make([]byte, 39), encode(s.record(), 0)[:50]} {
		if _, err := decode(b); err == nil {
			t.Errorf("%d bytes are taken for a state", len(b))
		}
	}
}
