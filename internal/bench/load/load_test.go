package load

import (
	"testing"
	"time"

	"cohort/internal/bench/check"
	"cohort/internal/bench/clock"
)

// read puts a message's stamp together again.
func read(b []byte) (Stamp, bool) {
	if !Whole(b) {
		return Stamp{}, false
	}
	s := Stamp{Seq: Seq(b), Due: Due(b), Claim: Claim(b), Sender: From(b), Last: Last(b)}
	for !OfRow(b, s.Row) {
		s.Row++
	}
	return s, true
}

func TestStampRoundTrip(t *testing.T) {
	for _, size := range []int{stampSize, stampSize + 1, stampSize + tailSize, 1024, MaxSize} {
		want := Stamp{Seq: 1<<40 + 7, Due: 123456789, Claim: check.Claim{Of: 63, Count: 1 << 33}, Sender: 62, Row: 65535, Last: true}
		b := make([]byte, size)
		want.Put(b)
		got, ok := read(b)
		if !ok || got != want {
			t.Errorf("%d bytes: got %+v, %v; want %+v", size, got, ok, want)
		}
	}
}

func TestPackedStampRoundTrip(t *testing.T) {
	for size := MinSize; size < stampSize; size++ {
		for _, last := range []bool{false, true} {
			now := clock.Now()
			want := Stamp{Seq: 1<<38 - 2, Due: now - int64(time.Minute), Claim: check.Claim{Of: 63, Count: 1<<32 - 1}, Sender: 62, Row: 7, Last: last}
			b := make([]byte, size)
			want.Put(b)
			got, ok := read(b)
			if late := want.Due - got.Due; !ok || late < 0 || late >= 64 {
				t.Errorf("%d bytes: whole %v, due %d ns before what was put", size, ok, late)
			}
			if got.Due = want.Due; got != want {
				t.Errorf("%d bytes: got %+v, want %+v", size, got, want)
			}
			if OfRow(b, 8) || !OfRow(b, 15) {
				t.Errorf("%d bytes: row 7 is taken for 8, or not for 15", size)
			}
			if _, ok := read(b[:size-1]); ok {
				t.Errorf("%d bytes: a message cut short was believed", size)
			}
		}
	}
}

func TestPackedStampClaimsNothingBeyondItsBits(t *testing.T) {
	b := make([]byte, MinSize)
	(&Stamp{Seq: 1, Claim: check.Claim{Of: 1, Count: 1<<32 + 5}}).Put(b)
	if c := Claim(b); c.Count != 0 {
		t.Errorf("claim %+v, want none", c)
	}
}

func TestMangledMessagesAreNoticed(t *testing.T) {
	b := make([]byte, 100)
	(&Stamp{Seq: 5, Sender: 1}).Put(b)
	if _, ok := read(b[:99]); ok {
		t.Error("a message cut short was believed")
	}
	if _, ok := read(b[:MinSize-1]); ok {
		t.Error("a message shorter than a stamp was believed")
	}
	b[99] ^= 1
	if _, ok := read(b); ok {
		t.Error("a message with another one's end was believed")
	}
}

func TestFloodEndsWithOneLastMessage(t *testing.T) {
	s := NewFlood(Sender{Rank: 2, Row: 9, Size: 64, After: 100, Senders: 3})
	s.Stop()
	var got []Stamp
	for s.Due() != clock.Never {
		if s.Due() != 0 {
			t.Fatalf("a flood's message is due at %d, want at once", s.Due())
		}
		m, ok := read(s.Next())
		if !ok {
			t.Fatal("made a mangled message")
		}
		got = append(got, m)
	}
	if len(got) != 2 || got[0].Seq != 101 || got[0].Last || got[1].Seq != 102 || !got[1].Last || s.Sent() != 2 {
		t.Errorf("stopped at once it sent %+v, want messages 101 and 102, of which only 102 is the last", got)
	}
	if got[0].Sender != 2 || got[0].Row != 9 {
		t.Errorf("stamp %+v", got[0])
	}
}

func TestPacedScheduleIgnoresStalls(t *testing.T) {
	start := clock.Now() - int64(time.Hour) // the sender was stalled for an hour
	s := NewPaced(Sender{Size: 64, Senders: 1}, start, time.Millisecond, 5)
	for i := range int64(5) {
		due := s.Due()
		m, _ := read(s.Next())
		if want := start + i*1_000_000; due != want || m.Due != want {
			t.Errorf("message %d is due at %d and says %d, want %d", i, due, m.Due, want)
		}
		if m.Last != (i == 4) {
			t.Errorf("message %d: last is %v", i, m.Last)
		}
	}
	if s.Due() != clock.Never {
		t.Error("it does not end")
	}
}

func TestLoneIsStampedWhenMade(t *testing.T) {
	before := clock.Now()
	s := NewLone(Sender{Size: 64, Senders: 1}, before-int64(time.Hour), time.Millisecond, 1)
	if m, _ := read(s.Next()); m.Due < before || m.Due > clock.Now() {
		t.Errorf("stamped %d, want a time after %d", m.Due, before)
	}
}

func TestClaimsTellThePast(t *testing.T) {
	p := NewPast(2)
	p.Set(0, 11)
	p.Set(1, 22)
	s := NewPaced(Sender{Size: 64, Senders: 2, Past: p}, 0, 0, 4)
	seen := map[int]uint64{}
	for s.Due() != clock.Never {
		m, _ := read(s.Next())
		seen[m.Claim.Of] = m.Claim.Count
	}
	if len(seen) != 2 || seen[0] != 11 || seen[1] != 22 {
		t.Errorf("claims %v, want 11 of member 0 and 22 of member 1", seen)
	}
}

func BenchmarkFlood(b *testing.B) {
	s := NewFlood(Sender{Size: 64, Senders: 3, Past: NewPast(3)})
	b.ReportAllocs()
	for b.Loop() {
		s.Next()
	}
}

// TestAnEchoIsMarkedAndNothingElse: who asked finds its message again.
func TestAnEchoIsMarkedAndNothingElse(t *testing.T) {
	for _, size := range []int{MinSize, stampSize - 1, stampSize, 1024} {
		b := make([]byte, size)
		(&Stamp{Seq: 9, Due: clock.Now(), Claim: check.Claim{Of: 63, Count: 5}, Sender: 63, Row: 3, Last: true}).Put(b)
		want, _ := read(b)
		if IsEcho(b) {
			t.Errorf("%d bytes: an echo before it is one", size)
		}
		MarkEcho(b)
		got, ok := read(b)
		if !ok || got != want || !IsEcho(b) {
			t.Errorf("%d bytes: whole %v, echo %v, %+v; want %+v", size, ok, IsEcho(b), got, want)
		}
	}
}
