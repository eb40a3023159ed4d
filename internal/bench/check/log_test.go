package check

import (
	"strings"
	"testing"

	"cohort/order"
)

const small = 1 << 13

// deliver is one call of Delivered.
type deliver struct {
	sender int
	seq    uint64
	claim  Claim
}

func logOf(level order.Level, ds ...deliver) *Log {
	l := NewLog(Config{Members: 3, Level: level, Keep: small})
	for _, d := range ds {
		l.Delivered(d.sender, d.seq, d.claim)
	}
	return l
}

func TestGoodHistory(t *testing.T) {
	l := logOf(order.Total,
		deliver{0, 1, Claim{}}, deliver{1, 1, Claim{Of: 0, Count: 1}}, deliver{0, 2, Claim{Of: 1, Count: 1}}, deliver{2, 1, Claim{Of: 0, Count: 2}})
	if b := l.Breach(); b != nil {
		t.Fatalf("a good history was called a breach: %v", b)
	}
	if l.Total() != 4 || l.Count(0) != 2 || l.Count(1) != 1 || l.Count(2) != 1 {
		t.Errorf("counts: %d in all, %d of 0, %d of 1, %d of 2", l.Total(), l.Count(0), l.Count(1), l.Count(2))
	}
}

func TestBreachesAreCaught(t *testing.T) {
	first := deliver{sender: 0, seq: 1}
	for _, c := range []struct {
		name  string
		level order.Level
		after []deliver
		want  Kind
		says  string
	}{
		{"missing", order.FIFO, []deliver{{0, 3, Claim{}}}, Missing, "message 3 of member 0 where message 2 was next"},
		{"swapped", order.FIFO, []deliver{{0, 3, Claim{}}, {0, 2, Claim{}}}, Missing, "where message 2 was next"},
		{"twice", order.FIFO, []deliver{{0, 1, Claim{}}}, Repeated, "message 1 of member 0 again or late"},
		{"before its past", order.Causal, []deliver{{1, 1, Claim{Of: 0, Count: 2}}}, CausalViolated, "had delivered 2 messages of member 0 before it, after only 1"},
		{"before its past, total", order.Total, []deliver{{1, 1, Claim{Of: 0, Count: 2}}}, CausalViolated, "after only 1"},
		{"before its past, safe", order.Causal.Safe(), []deliver{{1, 1, Claim{Of: 2, Count: 1}}}, CausalViolated, "member 2"},
		{"nobody's", order.FIFO, []deliver{{3, 1, Claim{}}}, Unknown, "unknown member"},
		{"about nobody", order.FIFO, []deliver{{1, 1, Claim{Of: 7}}}, Unknown, "unknown member"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := logOf(c.level, append([]deliver{first}, c.after...)...).Breach()
			if b == nil {
				t.Fatal("not noticed")
			}
			if b.Kind != c.want || b.At != 1 || !strings.Contains(b.String(), c.says) {
				t.Errorf("got %q (%s at place %d), want %q (%s at place 1)", b, b.Kind, b.At, c.says, c.want)
			}
		})
	}
}

func TestFIFOPromisesNoCausality(t *testing.T) {
	if b := logOf(order.FIFO, deliver{1, 1, Claim{Of: 0, Count: 5}}).Breach(); b != nil {
		t.Errorf("fbcast was held to causal order: %v", b)
	}
}

func TestTheFirstBreachIsKept(t *testing.T) {
	l := logOf(order.FIFO, deliver{0, 2, Claim{}}, deliver{1, 9, Claim{}})
	if b := l.Breach(); b.Sender != 0 || b.Seq != 2 {
		t.Errorf("got %v, want the one of member 0", b)
	}
	l.Stray(Stale, 1, 1)
	if b := l.Breach(); b.Kind != Missing {
		t.Errorf("a later stray message replaced the breach: %v", b)
	}
	l.Reset(Config{Members: 3, Keep: small})
	if l.Breach() != nil || l.Total() != 0 || l.Count(0) != 0 || len(l.Digests()) != 1 {
		t.Error("Reset left something behind")
	}
}

// fill delivers n messages of two senders in turn, with two places swapped if
// swap is within them.
func fill(l *Log, n int, swap int) {
	for i := range n {
		at := i
		switch i {
		case swap:
			at++
		case swap + 1:
			at--
		}
		l.Delivered(at%2, uint64(at/2+1), Claim{})
	}
}

func TestDigestsFindTheDifference(t *testing.T) {
	const n = 3*BlockSize + 100
	good := NewLog(Config{Members: 2, Level: order.Total, Keep: 4 * BlockSize})
	fill(good, n, n)
	for _, swap := range []int{0, 1, BlockSize - 1, BlockSize, 2*BlockSize + 17, 3 * BlockSize, n - 2} {
		bad := NewLog(Config{Members: 2, Level: order.Total, Keep: 4 * BlockSize})
		fill(bad, n, swap)
		if bad.Breach() != nil {
			t.Fatalf("swap at %d: messages of two senders may be swapped as far as one member sees: %v", swap, bad.Breach())
		}
		block, member, differ := CompareDigests([][]uint64{good.Digests(), good.Digests(), bad.Digests()})
		if !differ || member != 2 || block != swap/BlockSize {
			t.Fatalf("swap at %d: block %d, member %d, differ %v; want block %d, member 2", swap, block, member, differ, swap/BlockSize)
		}
		from := uint64(block) * BlockSize
		at, differ := FirstDifference(good.Range(from, from+2*BlockSize), bad.Range(from, from+2*BlockSize))
		if !differ || at != uint64(swap) {
			t.Errorf("swap at %d: first difference at %d, %v", swap, at, differ)
		}
	}
	if _, _, differ := CompareDigests([][]uint64{good.Digests(), good.Digests()}); differ {
		t.Error("equal orders were called different")
	}
}

func TestDigestsOfDifferentLengthsDiffer(t *testing.T) {
	short, long := NewLog(Config{Members: 2, Keep: small}), NewLog(Config{Members: 2, Keep: small})
	fill(short, BlockSize, -2)
	fill(long, BlockSize+1, -2)
	if block, member, differ := CompareDigests([][]uint64{long.Digests(), short.Digests()}); !differ || member != 1 || block != 1 {
		t.Errorf("block %d, member %d, %v; want block 1 of member 1", block, member, differ)
	}
	at, differ := FirstDifference(short.Range(0, 2*BlockSize), long.Range(0, 2*BlockSize))
	if !differ || at != BlockSize {
		t.Errorf("difference at %d, %v; want %d, where one ends", at, differ, BlockSize)
	}
}

func TestHistoryKeepsTheLast(t *testing.T) {
	l := NewLog(Config{Members: 2, Keep: 16})
	fill(l, 100, -2)
	h := l.Range(0, 1000)
	if h.From != 84 || len(h.Entries) != 16 {
		t.Fatalf("kept %d deliveries from place %d, want 16 from 84", len(h.Entries), h.From)
	}
	for i, e := range h.Entries {
		if at := 84 + i; e != (Entry{Sender: at % 2, Seq: uint64(at/2 + 1)}) {
			t.Errorf("place %d holds %v", at, e)
		}
	}
	if at, ok := l.Find(1, 45); !ok || at != 89 {
		t.Errorf("message 45 of member 1: place %d, %v; want 89", at, ok)
	}
	if _, ok := l.Find(1, 3); ok {
		t.Error("found a message that is no longer kept")
	}
	if c := h.Cut(95, 3); c.From != 95 || len(c.Entries) != 3 || c.Entries[0] != (Entry{1, 48}) {
		t.Errorf("cut %v", c)
	}
	if c := h.Cut(200, 3); len(c.Entries) != 0 {
		t.Errorf("cut beyond the end %v", c)
	}
}

func TestHistoryOfLongSequences(t *testing.T) {
	l := NewLog(Config{Members: 1, Keep: 16})
	l.delivered[0] = 3<<seqBits - 5
	for i := range uint64(10) {
		l.Delivered(0, 3<<seqBits-4+i, Claim{})
	}
	if h := l.Range(0, 1); h.Entries[0].Seq != 3<<seqBits-4 {
		t.Errorf("message %d came back as %d", uint64(3<<seqBits-4), h.Entries[0].Seq)
	}
}

func TestFormat(t *testing.T) {
	a := History{From: 4, Entries: []Entry{{0, 3}, {1, 2}, {0, 4}}}
	b := History{From: 4, Entries: []Entry{{0, 3}, {0, 4}}}
	want := `       place  member 0         member 1        
           4  0:3              0:3             
           5  1:2              0:4              <
           6  0:4              -                <
`
	if got := Format("member 0", a, "member 1", b); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got, want := b.String(), "from place 4 on: 0:3 0:4"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func BenchmarkDelivered(b *testing.B) {
	l := NewLog(Config{Members: 3, Level: order.Total})
	b.ReportAllocs()
	seq := uint64(0)
	for b.Loop() {
		if seq++; len(l.digests) == cap(l.digests) {
			l.Reset(Config{Members: 3, Level: order.Total})
			seq = 1
		}
		l.Delivered(1, seq, Claim{Of: 0})
	}
}
