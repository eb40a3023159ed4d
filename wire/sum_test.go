package wire

import (
	"bytes"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// TestTrainsAreSummedLikePackets: side by side or one by one, a checksum is the same.
func TestTrainsAreSummedLikePackets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		segment := rapid.IntRange(Overhead, 400).Draw(t, "segment")
		n := rapid.IntRange(1, 20).Draw(t, "packets")
		last := rapid.IntRange(Overhead, segment).Draw(t, "last")
		b := rapid.SliceOfN(rapid.Byte(), (n-1)*segment+last, (n-1)*segment+last).Draw(t, "train")
		someLocal := rapid.Bool().Draw(t, "some local")
		for i := range n {
			p := b[i*segment : min((i+1)*segment, len(b))]
			h := Header{Local: someLocal && rapid.Bool().Draw(t, "local")}
			h.Body = rapid.IntRange(0, len(p)-Overhead).Draw(t, "body")
			h.Put(p)
		}
		SealTrain(b, segment)
		want := uint64(1)<<n - 1
		if got := VerifyTrain(b, segment); got != want {
			t.Fatalf("sealed: %b, want %b", got, want)
		}
		bad := rapid.IntRange(0, len(b)-1).Draw(t, "bad")
		b[bad] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if h, at := headerOf(b[bad/segment*segment:]), bad%segment-HeaderSize; !h.Local || at < 0 || at >= h.Body {
			want &^= 1 << (bad / segment)
		}
		if got := VerifyTrain(b, segment); got != want {
			t.Fatalf("byte %d damaged: %b, want %b", bad, got, want)
		}
		for i := range n {
			if p := b[i*segment : min((i+1)*segment, len(b))]; Verify(p) != (want>>i&1 != 0) {
				t.Fatalf("packet %d alone: %v", i, Verify(p))
			}
		}
	})
}

// headerOf reads as much of a header as says what is under the checksum: it may be damaged.
func headerOf(b []byte) Header {
	return Header{Local: b[2] == LocalVersion, Body: int(le.Uint16(b[28:]))}
}

// TestVerifyTrainTakesAnything: what comes from the network need not hold packets.
func TestVerifyTrainTakesAnything(t *testing.T) {
	for size := range 200 {
		for segment := 1; segment < 200; segment++ {
			VerifyTrain(make([]byte, size), segment)
		}
	}
	many := make([]byte, 2*MaxVerified*Overhead)
	SealTrain(many, Overhead)
	if got := VerifyTrain(many, Overhead); got != ^uint64(0) {
		t.Errorf("of %d packets %b are good, want the first %d", 2*MaxVerified, got, MaxVerified)
	}
}

func BenchmarkVerifyTrain(b *testing.B) {
	for _, segment := range []int{1472, 8384} {
		train := make([]byte, 65472/segment*segment)
		SealTrain(train, segment)
		b.Run(fmt.Sprint(segment), func(b *testing.B) {
			b.SetBytes(int64(len(train)))
			for b.Loop() {
				VerifyTrain(train, segment)
			}
		})
		b.Run(fmt.Sprint(segment, "/local"), func(b *testing.B) {
			local := bytes.Clone(train)
			for at := 0; at < len(local); at += segment {
				h := Header{Local: true, Body: segment - Overhead}
				h.Put(local[at:])
			}
			SealTrain(local, segment)
			b.SetBytes(int64(len(local)))
			for b.Loop() {
				VerifyTrain(local, segment)
			}
		})
		b.Run(fmt.Sprint(segment, "/one by one"), func(b *testing.B) {
			b.SetBytes(int64(len(train)))
			for b.Loop() {
				for at := 0; at < len(train); at += segment {
					Verify(train[at : at+segment])
				}
			}
		})
	}
}
