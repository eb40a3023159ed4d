package wire

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// TestSumCovers: a flipped bit anywhere is noticed, but for the body of a local packet.
func TestSumCovers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(Overhead, 2000).Draw(t, "size")
		b := rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "packet")
		h := Header{Local: rapid.Bool().Draw(t, "local"), Body: rapid.IntRange(0, size-Overhead).Draw(t, "body")}
		h.Put(b)
		Seal(b)
		if !Verify(b) {
			t.Fatal("sealed, and does not verify")
		}
		bad := rapid.IntRange(0, size-1).Draw(t, "bad")
		b[bad] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		unseen := h.Local && bad >= HeaderSize && bad < HeaderSize+h.Body
		if Verify(b) != unseen {
			t.Fatalf("byte %d damaged: verifies %v, want %v", bad, !unseen, unseen)
		}
	})
}

// TestVerifyTakesAnything that has a header: what comes from the network need not be a packet.
func TestVerifyTakesAnything(t *testing.T) {
	for size := Overhead; size < 400; size++ {
		for _, body := range []int{0, size - Overhead, size - SumSize, size, 1<<16 - 1} {
			b := make([]byte, size)
			h := Header{Local: true, Body: body}
			h.Put(b)
			Verify(b)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, size := range []int{1472, 8384} {
		for _, local := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d/local=%v", size, local), func(b *testing.B) {
				packet := make([]byte, size)
				h := Header{Local: local, Body: size - Overhead}
				h.Put(packet)
				Seal(packet)
				b.SetBytes(int64(size))
				for b.Loop() {
					if !Verify(packet) {
						b.Fatal("a good packet does not verify")
					}
				}
			})
		}
	}
}
