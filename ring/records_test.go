package ring

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func TestCapacityIsRoundedUp(t *testing.T) {
	onBoth(t, func(t *testing.T, make func(int) records) {
		for _, c := range []struct{ asked, max int }{
			{-1, 32}, {0, 32}, {256, 32}, {257, 64}, {1 << 16, 1 << 13}, {1<<16 + 1, 1 << 14},
		} {
			if got := make(c.asked).MaxRecord(); got != c.max {
				t.Errorf("capacity %d: MaxRecord %d, want %d", c.asked, got, c.max)
			}
		}
	})
}

func TestFullAndFreeAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, make func(int) records) {
		r := make(256) // eight granules
		for lap := range 100 {
			for i := range 8 {
				if !r.TryPush(uint64(i), []byte{byte(lap)}) {
					t.Fatalf("lap %d: push %d refused", lap, i)
				}
			}
			if r.TryPush(8, nil) {
				t.Fatalf("lap %d: a ninth record went in", lap)
			}
			for i := range 8 {
				meta, p, ok := r.Peek()
				if !ok || meta != uint64(i) || !bytes.Equal(p, []byte{byte(lap)}) {
					t.Fatalf("lap %d: peeked %d, %v, %v", lap, meta, p, ok)
				}
				r.Next()
			}
			if r.TryPush(8, nil) {
				t.Fatalf("lap %d: consumed room was given before Release", lap)
			}
			r.Release()
		}
	})
}

func TestPeekStaysAndBorrowedBytesHoldUntilRelease(t *testing.T) {
	onBoth(t, func(t *testing.T, make func(int) records) {
		r := make(256)
		for i := range 8 {
			r.TryPush(uint64(i), []byte{byte(i)})
		}
		_, first, _ := r.Peek()
		if meta, _, _ := r.Peek(); meta != 0 {
			t.Fatalf("a second Peek went on to record %d", meta)
		}
		r.Next()
		r.Next() // nothing is peeked: must not skip a record
		if meta, _, _ := r.Peek(); meta != 1 {
			t.Fatalf("after Next comes record %d, want 1", meta)
		}
		r.TryPush(9, []byte{9})
		if first[0] != 0 {
			t.Fatal("borrowed payload was written over before Release")
		}
	})
}

func TestEmptyPayloadAndLargest(t *testing.T) {
	onBoth(t, func(t *testing.T, make func(int) records) {
		r := make(1 << 10)
		big := pattern(bytes.Repeat([]byte{0}, r.MaxRecord()), 1, 1)
		for range 50 {
			for i, p := range [][]byte{nil, big, {}, big[:r.MaxRecord()-1]} {
				if !r.TryPush(uint64(i), p) {
					t.Fatalf("push of %d bytes refused", len(p))
				}
				meta, got, ok := r.Peek()
				if !ok || meta != uint64(i) || !bytes.Equal(got, p) {
					t.Fatalf("record %d: %v, %d bytes, meta %d", i, ok, len(got), meta)
				}
				r.Next()
				r.Release()
			}
		}
		if r.TryPush(0, append(big, 0)) {
			t.Fatal("a record larger than MaxRecord went in")
		}
	})
}

func TestClosedRingIsDrained(t *testing.T) {
	onBoth(t, func(t *testing.T, make func(int) records) {
		r := make(256)
		r.TryPush(1, nil)
		r.Close()
		r.Close()
		if r.TryPush(2, nil) {
			t.Fatal("push after Close")
		}
		if meta, _, ok := r.Peek(); !ok || meta != 1 {
			t.Fatal("record pushed before Close is gone")
		}
		r.Next()
		if r.Release(); !r.Empty() {
			t.Fatal("not empty")
		}
	})
}

// naive is a ring as one would draw it: records, each with the position where
// its room ends.
type naive struct {
	size, tail, head int
	queue            []naiveRecord
	consumed         int // position where the consumed room ends
}

type naiveRecord struct {
	meta    uint64
	payload []byte
	end     int
}

func (n *naive) push(meta uint64, payload []byte) bool {
	start := n.tail
	room := max(1, (len(payload)+31)/32) * 32
	if start%n.size+room > n.size {
		start += n.size - start%n.size
	}
	if len(payload) > n.size/8 || start+room-n.head > n.size {
		return false
	}
	n.tail = start + room
	n.queue = append(n.queue, naiveRecord{meta, bytes.Clone(payload), n.tail})
	return true
}

func TestAgainstNaiveModel(t *testing.T) {
	onBoth(t, func(t *testing.T, make func(int) records) {
		rapid.Check(t, func(t *rapid.T) {
			n := &naive{size: 256 << rapid.IntRange(0, 3).Draw(t, "doublings")}
			r := make(n.size)
			t.Repeat(map[string]func(*rapid.T){
				"push": func(t *rapid.T) {
					meta := rapid.Uint64().Draw(t, "meta")
					p := rapid.SliceOfN(rapid.Byte(), 0, n.size/8+1).Draw(t, "payload")
					if got, want := r.TryPush(meta, p), n.push(meta, p); got != want {
						t.Fatalf("TryPush of %d bytes: %v, want %v", len(p), got, want)
					}
				},
				"next": func(t *rapid.T) {
					meta, p, ok := r.Peek()
					if ok != (len(n.queue) > 0) {
						t.Fatalf("Peek: %v with %d records", ok, len(n.queue))
					}
					r.Next()
					if !ok {
						return
					}
					want := n.queue[0]
					n.queue, n.consumed = n.queue[1:], want.end
					if meta != want.meta || !bytes.Equal(p, want.payload) {
						t.Fatalf("got %d %x, want %d %x", meta, p, want.meta, want.payload)
					}
				},
				"release": func(*rapid.T) { r.Release(); n.head = n.consumed },
				"": func(t *rapid.T) {
					if r.Empty() != (len(n.queue) == 0) {
						t.Fatalf("Empty: %v with %d records", r.Empty(), len(n.queue))
					}
				},
			})
		})
	})
}
