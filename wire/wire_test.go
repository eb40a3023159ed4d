package wire

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"cohort/order"

	"github.com/zeebo/xxh3"
	"pgregory.net/rapid"
)

var anyLevel = rapid.SampledFrom([]order.Level{
	order.FIFO, order.Causal, order.Total, order.FIFO.Safe(), order.Causal.Safe(), order.Total.Safe(),
	order.FIFO.SafeAll(), order.Causal.SafeAll(), order.Total.SafeAll(),
})

func TestHeaderRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "body")
		want := Header{
			Kind: Kind(rapid.Byte().Draw(t, "kind")), Cluster: rapid.Uint32().Draw(t, "cluster"), View: rapid.Uint64().Draw(t, "view"),
			Seq: rapid.Uint64().Draw(t, "seq"), Sender: rapid.Byte().Draw(t, "sender"), Level: order.Level(rapid.Byte().Draw(t, "level")),
			Flags: rapid.Byte().Draw(t, "flags"), Body: len(body),
		}
		b := sealed(want, body)
		if got, err := Parse(b); err != nil || got != want {
			t.Fatalf("got %+v, %v; want %+v", got, err, want)
		}
		if !Verify(b) {
			t.Fatal("the checksum does not match")
		}
	})
}

func TestParseNamesWhatIsWrong(t *testing.T) {
	good := sealed(Header{Kind: Data, Seq: 1, Body: 5}, make([]byte, 5))
	with := func(at int, v byte) []byte {
		b := bytes.Clone(good)
		b[at] = v
		return b
	}
	for _, c := range []struct {
		name string
		b    []byte
		want error
	}{
		{"good", good, nil},
		{"nothing", nil, ErrShort},
		{"no room for a checksum", good[:Overhead-1], ErrShort},
		{"body longer than the packet", with(28, 6), ErrShort},
		{"body of 64 KiB", with(29, 0xff), ErrShort},
		{"longer than UDP allows", append(bytes.Clone(good), make([]byte, MaxPacket)...), ErrShort},
		{"another protocol", with(0, 0), ErrMagic},
		{"another protocol", with(1, 0), ErrMagic},
		{"a later version", with(2, LocalVersion+1), ErrVersion},
		{"version 0", with(2, 0), ErrVersion},
		{"a retired version", with(2, 1), ErrVersion},
		{"a retired version", with(2, 2), ErrVersion},
		{"reserved bytes are for later versions to use", with(27, 1), nil},
		{"reserved bytes are for later versions to use", with(31, 1), nil},
	} {
		if _, err := Parse(c.b); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// TestChecksum compares with the vectors of the algorithm's author, over a buffer made his
// way, so that a member written in another language agrees: all branches that it takes by length.
func TestChecksum(t *testing.T) {
	buf, gen := make([]byte, 2367), uint64(2654435761)
	for i := range buf {
		buf[i] = byte(gen >> 56)
		gen *= 11400714785074694797
	}
	const seed = 0x9E3779B185EBCA8D
	for _, c := range []struct {
		n               int
		plain, withSeed uint64
	}{
		{0, 0x2D06800538D394C2, 0xA8A6B918B2F0364A}, {1, 0xC44BDFF4074EECDB, 0x032BE332DD766EF8},
		{6, 0x27B56A84CD2D7325, 0x84589C116AB59AB9}, {12, 0xA713DAF0DFBB77E7, 0xE7303E1B2336DE0E},
		{24, 0xA3FE70BF9D3510EB, 0x850E80FC35BDD690}, {48, 0x397DA259ECBA1F11, 0xADC2CBAA44ACC616},
		{80, 0xBCDEFBBB2C47C90A, 0xC6DD0CB699532E73}, {195, 0xCD94217EE362EC3A, 0xBA68003D370CB3D9},
		{403, 0xCDEB804D65C6DEA4, 0x6259F6ECFD6443FD}, {512, 0x617E49599013CB6B, 0x3CE457DE14C27708},
		{2048, 0xDD59E2C3A5F038E0, 0x66F81670669ABABC}, {2240, 0x6E73A90539CF2948, 0x757BA8487D1B5247},
		{2367, 0xCB37AEB9E5D361ED, 0xD2DB3415B942B42A},
	} {
		if got := xxh3.Hash(buf[:c.n]); got != c.plain {
			t.Errorf("%d bytes: %016x, want %016x", c.n, got, c.plain)
		}
		if got := xxh3.HashSeed(buf[:c.n], seed); got != c.withSeed {
			t.Errorf("%d bytes with a seed: %016x, want %016x", c.n, got, c.withSeed)
		}
	}
}

// TestDamageIsNoticed flips each bit, and each pair of neighbouring bits, of
// every golden packet. Only in the body of a local one that changes nothing.
func TestDamageIsNoticed(t *testing.T) {
	for name := range goldens {
		b := goldenPacket(t, name)
		h, err := Parse(b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for bit := range 8 * len(b) {
			body := bit/8 - HeaderSize
			unseen := h.Local && body >= 0 && body < h.Body
			for _, mask := range []byte{1 << (bit % 8), 3 << (bit % 8)} {
				b[bit/8] ^= mask
				if _, err := Parse(b); (err == nil && Verify(b)) != unseen {
					t.Errorf("%s: damage %08b to byte %d: %v", name, mask, bit/8, err)
				}
				b[bit/8] ^= mask
			}
		}
	}
}

func TestFramesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want []Frame
		var body []byte
		for range rapid.IntRange(0, 8).Draw(t, "frames") {
			f := Frame{
				Kind: uint8(rapid.IntRange(0, 7).Draw(t, "kind")), First: rapid.Bool().Draw(t, "first"), Last: rapid.Bool().Draw(t, "last"),
				Abort: rapid.Bool().Draw(t, "abort"), Level: anyLevel.Draw(t, "level"), Group: rapid.Uint32().Draw(t, "group"),
				Payload: rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(t, "payload"),
			}
			if f.Size = len(f.Payload); f.First && !f.Last {
				f.Size = int(rapid.Uint32().Draw(t, "size"))
			}
			want, body = append(want, f), append(body, frame(f, string(f.Payload))...)
		}
		got, rest := framesOf(body)
		if !reflect.DeepEqual(got, want) || rest != 0 {
			t.Fatalf("got %+v and %d bytes; want %+v", got, rest, want)
		}
		if len(want) > 0 { // a body that ends within its last frame
			cut := rapid.IntRange(1, FrameSize+len(want[len(want)-1].Payload)).Draw(t, "cut")
			if got, rest := framesOf(body[:len(body)-cut]); len(got) != len(want)-1 || rest == 0 && cut < FrameSize {
				t.Fatalf("%d frames and %d bytes of a body cut by %d, want %d frames", len(got), rest, cut, len(want)-1)
			}
		}
	})
}

func TestFrameOfNoLevelIsMalformed(t *testing.T) {
	for level := range 256 {
		b := frame(Frame{First: true, Last: true, Level: order.Level(level)}, "x")
		if n := NextFrame(b, new(Frame)); (n > 0) != order.Level(level).Valid() {
			t.Errorf("level %d: frame of %d bytes", level, n)
		}
	}
}

func TestNAKRoundTrip(t *testing.T) {
	anyRange := rapid.Custom(func(t *rapid.T) Range {
		return Range{From: rapid.Uint64().Draw(t, "from"), Count: rapid.Uint16().Draw(t, "count")}
	})
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 64).Draw(t, "n")
		stream := rapid.IntRange(0, 63).Draw(t, "stream")
		want := rapid.SliceOfN(anyRange, 0, MaxRanges).Draw(t, "ranges")
		b := AppendNAK(nil, stream, want)
		if len(b) > NAKSize {
			t.Fatalf("%d bytes, want at most %d", len(b), NAKSize)
		}
		s, got, err := ParseNAK(b, n, []Range{})
		if stream >= n {
			if err == nil {
				t.Fatalf("rank %d was taken in a view of %d", stream, n)
			}
			return
		}
		if err != nil || s != stream || len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Fatalf("got %d %v %v; want %d %v", s, got, err, stream, want)
		}
		if _, _, err := ParseNAK(b[:len(b)-1], n, nil); !errors.Is(err, ErrSection) {
			t.Fatalf("a NAK cut short: %v", err)
		}
		if _, _, err := ParseNAK(append(b, 0), n, nil); !errors.Is(err, ErrSection) {
			t.Fatalf("a NAK with a byte too many: %v", err)
		}
	})
}

func TestNAKOfTooManyRangesIsMalformed(t *testing.T) {
	b := AppendNAK(nil, 0, make([]Range, MaxRanges+1))
	if _, _, err := ParseNAK(b, 1, nil); !errors.Is(err, ErrSection) {
		t.Errorf("%v, want %v", err, ErrSection)
	}
}

// TestNAKFitsSegment: what RangesIn allows fits the segment that it was asked for.
func TestNAKFitsSegment(t *testing.T) {
	for segment := MinSegment(1); segment < 2000; segment++ {
		if k := RangesIn(segment); k < 1 || k > MaxRanges || Overhead+len(AppendNAK(nil, 0, make([]Range, k))) > segment {
			t.Fatalf("%d ranges in a segment of %d bytes", k, segment)
		}
	}
}
