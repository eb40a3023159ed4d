package session

import (
	"slices"
	"testing"
)

// spread has members deliver what they send, in one order, until there is nothing, but for
// what is lost.
func spread(members map[uint64]*Member, lost func(from uint64, l *letter) bool) {
	for again := true; again; {
		again = false
		for from := range uint64(len(members)) {
			for _, o := range members[from+1].Take() {
				if l, _ := parseLetter(o.Payload); o.Do != Submit || lost(from+1, &l) {
					continue
				}
				again = true
				for to := range uint64(len(members)) {
					members[to+1].Deliver(from+1, o.Payload)
				}
			}
		}
	}
}

func nothingLost(uint64, *letter) bool { return false }

// threeWith returns three members that have let in these clients, whose connections to the
// second have ended.
func threeWith(t *testing.T, clients ...uint64) map[uint64]*Member {
	t.Helper()
	members := map[uint64]*Member{}
	for id := range uint64(3) {
		members[id+1] = NewMember(10, 5)
		members[id+1].Enter(id+1, []uint64{1, 2, 3}, true)
	}
	spread(members, nothingLost)
	for _, c := range clients {
		s := members[2].Hello(c, 1, false, nil)
		spread(members, nothingLost)
		if s.state != working {
			t.Fatalf("client %d is not let in", c)
		}
		members[2].Lost(s, false)
	}
	return members
}

// knownTo lists the clients that a member knows.
func knownTo(m *Member) (list []uint64) {
	for c := range m.clients {
		list = append(list, c)
	}
	slices.Sort(list)
	return list
}

// TestForgettingOutlivesALostAnswer: a member could not send its answer to a closing. The
// clients are forgotten all the same, and so are others after them; not the one that has
// come back meanwhile.
func TestForgettingOutlivesALostAnswer(t *testing.T) {
	members := threeWith(t, 7, 8, 9)
	once := true
	lost := func(from uint64, l *letter) bool {
		if from == 3 && l.kind == here && once {
			once = false
			return true
		}
		return false
	}
	tick := func() {
		for id := range uint64(3) {
			members[id+1].Tick()
		}
		spread(members, lost)
	}
	for range 20 {
		if tick(); !once {
			break
		}
	}
	if once || members[1].closing == 0 {
		t.Fatalf("answer lost: %v, closing: %v; want a closing that waits", !once, members[1].closing)
	}
	back := members[3].Hello(8, 2, true, nil)
	spread(members, lost)
	for range 20 {
		tick()
	}
	for id, m := range members {
		if got := knownTo(m); !slices.Equal(got, []uint64{8}) {
			t.Errorf("member %d knows clients %v, want 8 alone, which has come back", id, got)
		}
	}
	if back.state != working {
		t.Error("the client that has come back has been closed")
	}
	if len(members[1].rounds) > 0 || members[1].closing != 0 {
		t.Errorf("%d rounds are left, closing %d", len(members[1].rounds), members[1].closing)
	}
	members[3].Lost(back, true)
	spread(members, lost)
	if got := knownTo(members[1]); len(got) > 0 {
		t.Errorf("clients %v are known, want none: the last has said goodbye", got)
	}
}

// TestClosingWaitsForItsOwnDelivery: one that is on its way for long is not sent again.
func TestClosingWaitsForItsOwnDelivery(t *testing.T) {
	members := threeWith(t, 7)
	sent := 0
	held := func(_ uint64, l *letter) bool {
		if l.kind == closing {
			sent++
		}
		return l.kind == closing
	}
	for range 50 {
		for id := range uint64(3) {
			members[id+1].Tick()
		}
		spread(members, held)
	}
	if sent != 1 {
		t.Errorf("sent %d times, want once", sent)
	}
}

// TestBackBeforeItsClosing: a client that is silent for long comes back while the news that it
// is to be forgotten is on its way, and not there yet. It has to connect again, and is known.
func TestBackBeforeItsClosing(t *testing.T) {
	members := threeWith(t, 7, 8)
	var late [][]byte
	for len(late) == 0 {
		for id := range uint64(3) {
			members[id+1].Tick()
		}
		for _, o := range members[1].Take() {
			if l, _ := parseLetter(o.Payload); l.kind == closing {
				late = append(late, o.Payload)
			}
		}
	}
	members[3].Hello(8, 2, true, nil)
	spread(members, nothingLost)
	for _, m := range members {
		m.Deliver(1, late[0])
	}
	spread(members, nothingLost)
	for id, m := range members {
		if got := knownTo(m); !slices.Equal(got, []uint64{8}) {
			t.Errorf("member %d knows clients %v, want 8 alone, which has come back", id, got)
		}
	}
	again := members[2].Hello(8, 3, true, nil)
	if spread(members, nothingLost); again.state != working {
		t.Error("the client that has come back is not let in again")
	}
}
