package reach

import (
	"net/netip"
	"slices"
	"testing"

	"cohort/membership"
)

const ms = int64(1_000_000)

// grace is that of all tests.
const grace = 250 * ms

func addr(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 7000)
}

// view has members with these IDs, and addresses to match.
func view(ids ...uint64) (v membership.View) {
	for _, id := range ids {
		v.Members = append(v.Members, membership.Member{ID: id, Addr: addr(int(id))})
	}
	return v
}

func wantCopies(t *testing.T, r *Reach, want uint64) {
	t.Helper()
	if got := r.Copies(); got != want {
		t.Errorf("copies for ranks %b, want %b", got, want)
	}
}

// TestCopiesUntilSaidOtherwise: all are sent copies until they say that they hear, and
// again when they say that they do not.
func TestCopiesUntilSaidOtherwise(t *testing.T) {
	r := New(Auto, grace)
	r.View(0, view(1, 2, 3), 1)
	wantCopies(t, r, 0b101)
	r.Says(ms, 1, true)
	wantCopies(t, r, 0b100)
	r.Says(ms, 3, true)
	r.Says(ms, 3, true)
	wantCopies(t, r, 0)
	r.Says(2*ms, 1, false)
	wantCopies(t, r, 0b001)
	r.Gone(3*ms, 3)
	wantCopies(t, r, 0b101)
}

// TestWordsOfThoseWhoAreNoMembersYet are kept: a joiner may hear this member before
// this member knows that it has joined. Nothing that others say is about this member.
func TestWordsOfThoseWhoAreNoMembersYet(t *testing.T) {
	r := New(Auto, grace)
	r.View(0, view(1, 2), 0)
	r.Says(0, 3, true)
	r.Says(0, 1, true) // this member's own ID
	wantCopies(t, r, 0b10)
	r.View(ms, view(1, 2, 3), 0)
	wantCopies(t, r, 0b010)
	r.View(2*ms, view(1, 3), 0)
	wantCopies(t, r, 0)
	r.Gone(3*ms, 3)
	r.View(4*ms, view(1, 3, 4), 0)
	wantCopies(t, r, 0b110)
}

// TestTheGroupIsProbed: where nobody hears, one train a second goes to the group; where
// somebody does, all do.
func TestTheGroupIsProbed(t *testing.T) {
	r := New(Auto, grace)
	r.View(0, view(1, 2, 3), 0)
	sent := 0
	for now := int64(0); now < 10*probeEvery; now += ms {
		if r.Group(now) {
			sent++
		}
	}
	if sent != 10 {
		t.Errorf("%d trains went to the group in 10 s, want 10", sent)
	}
	r.Says(0, 2, true)
	for now := range int64(10) {
		if !r.Group(now) {
			t.Error("a train did not go to the group, though one hears it")
		}
	}
}

func TestAlone(t *testing.T) {
	for how, group := range map[Transport]bool{Auto: true, Multicast: true, Fanout: false} {
		r := New(how, grace)
		r.View(0, view(5), 0)
		if r.Copies() != 0 || r.Group(0) != group || r.Group(1) != group {
			t.Errorf("%v: copies %b, to the group %v; want none and %v", how, r.Copies(), r.Group(2), group)
		}
	}
}

// TestWhatIsConfiguredIsDone, whatever the others say.
func TestWhatIsConfiguredIsDone(t *testing.T) {
	for _, hears := range []bool{false, true} {
		m, f := New(Multicast, grace), New(Fanout, grace)
		for _, r := range []*Reach{m, f} {
			r.View(0, view(1, 2, 3), 2)
			r.Says(0, 1, hears)
		}
		wantCopies(t, m, 0)
		wantCopies(t, f, 0b011)
		if !m.Group(0) || f.Group(0) || f.Reaches(0) || m.Reaches(0) != hears {
			t.Errorf("hears %v: multicast to the group %v, fanout %v", hears, m.Group(0), f.Group(0))
		}
		if lost, found := f.Notes(10 * grace); lost != 0 || found != 0 || f.Due() != membership.Never {
			t.Errorf("fan-out that was asked for is reported: %b, %b", lost, found)
		}
	}
}

// TestNotesAreForWhatLasts: nobody is reported before it has had time to hear, each
// once, and again only after it was found.
func TestNotesAreForWhatLasts(t *testing.T) {
	r := New(Auto, grace)
	r.View(0, view(1, 2, 3), 0)
	notes := func(now int64, lost, found uint64, due int64) {
		t.Helper()
		if l, f := r.Notes(now); l != lost || f != found || r.Due() != due {
			t.Errorf("at %d ms: lost %b, found %b, due %d ms; want %b, %b, %d ms", now/ms, l, f, r.Due()/ms, lost, found, due/ms)
		}
	}
	notes(0, 0, 0, grace+1)
	r.Says(ms, 2, true)
	notes(ms, 0, 0, grace+1)
	notes(grace+1, 0b100, 0, membership.Never)
	notes(2*grace, 0, 0, membership.Never)
	if r.Lost() != 0b100 {
		t.Errorf("lost %b", r.Lost())
	}
	r.View(2*grace, view(1, 3), 0) // the one that is reached leaves: ranks move
	notes(2*grace, 0, 0, membership.Never)
	if r.Lost() != 0b10 {
		t.Errorf("lost %b", r.Lost())
	}
	r.Says(3*grace, 3, true)
	notes(3*grace, 0, 0b10, membership.Never)
	r.Says(4*grace, 3, false)
	notes(4*grace, 0, 0, 5*grace+1)
	r.Says(4*grace+ms, 3, true) // a hiccup
	notes(6*grace, 0, 0, membership.Never)
}

func wantNews(t *testing.T, h *Hearing, now int64, want ...News) {
	t.Helper()
	if got := h.News(now); !slices.Equal(got, want) {
		t.Errorf("at %d ms: news %v, want %v", now/ms, got, want)
	}
}

// TestNewsAreChanges: a member is told when it is heard first, when it has been silent
// for too long, and when it is heard again.
func TestNewsAreChanges(t *testing.T) {
	h := NewHearing(grace)
	h.View(view(1, 2, 3), 0)
	wantNews(t, h, 0)
	h.Multicast(ms, addr(2))
	wantNews(t, h, ms, News{2, true})
	h.Multicast(2*ms, addr(2))
	wantNews(t, h, 2*ms)
	if h.Due() != ms+grace+1 {
		t.Errorf("due at %d", h.Due())
	}
	wantNews(t, h, ms+grace+1) // it was heard since
	if h.Due() != 2*ms+grace+1 {
		t.Errorf("due at %d", h.Due())
	}
	wantNews(t, h, 2*ms+grace+1, News{2, false})
	if h.Due() != membership.Never {
		t.Errorf("due at %d though nobody is heard", h.Due())
	}
	h.Multicast(900*ms, addr(2))
	h.Multicast(900*ms, addr(3))
	wantNews(t, h, 900*ms, News{2, true}, News{3, true})
}

// TestOthersAreNotHeard: neither strangers nor this member itself.
func TestOthersAreNotHeard(t *testing.T) {
	h := NewHearing(grace)
	h.Multicast(0, addr(2)) // before there is a view
	h.View(view(1, 2), 0)
	h.Multicast(ms, addr(9))
	h.Multicast(ms, addr(1))
	h.Multicast(ms, netip.AddrPort{})
	wantNews(t, h, ms)
}

// TestANewConnectionIsTold what the old one was.
func TestANewConnectionIsTold(t *testing.T) {
	h := NewHearing(grace)
	h.View(view(1, 2, 3), 2)
	h.Multicast(ms, addr(1))
	wantNews(t, h, ms, News{1, true})
	h.Connected(1)
	h.Connected(2) // not heard: there is nothing to tell
	h.Connected(7)
	wantNews(t, h, 2*ms, News{1, true})
}

// TestHearingGoesOnInTheNextView, at whatever rank.
func TestHearingGoesOnInTheNextView(t *testing.T) {
	h := NewHearing(grace)
	h.View(view(1, 2, 3), 0)
	h.Multicast(ms, addr(3))
	wantNews(t, h, ms, News{3, true})
	h.View(view(1, 3, 4), 0)
	wantNews(t, h, 2*ms)
	h.Multicast(3*ms, addr(2)) // no member any more
	h.Multicast(3*ms, addr(4))
	wantNews(t, h, 3*ms, News{4, true})
	wantNews(t, h, ms+grace+1, News{3, false})
}

func TestNames(t *testing.T) {
	if s := Fanout.String() + Multicast.String() + Auto.String() + Transport(7).String(); s != "fanoutmulticastautoTransport(7)" {
		t.Error(s)
	}
	if Transport(7).Valid() || Transport(-1).Valid() || !Fanout.Valid() {
		t.Error("what is no transport is taken for one")
	}
}

// BenchmarkMulticast is what each received train costs.
func BenchmarkMulticast(b *testing.B) {
	h := NewHearing(grace)
	h.View(view(1, 2, 3), 0)
	b.ReportAllocs()
	for i := range b.N {
		h.Multicast(int64(i), addr(2+i&1))
		h.News(int64(i))
	}
}
