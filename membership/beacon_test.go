package membership

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"

	"cohort/wire"

	"pgregory.net/rapid"
)

const ms = int64(1_000_000)

var anyAddr = rapid.Custom(func(t *rapid.T) netip.AddrPort {
	size := rapid.SampledFrom([]int{4, 16}).Draw(t, "address size")
	addr, _ := netip.AddrFromSlice(rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "address"))
	return netip.AddrPortFrom(addr, rapid.Uint16().Draw(t, "port"))
})

var anyMember = rapid.Custom(func(t *rapid.T) Member {
	return Member{
		ID: rapid.Uint64Min(1).Draw(t, "id"), Since: rapid.Int64().Draw(t, "since"), Joined: rapid.Uint64().Draw(t, "joined"),
		Name: rapid.StringN(0, -1, MaxName).Draw(t, "name"), Addr: anyAddr.Draw(t, "data"), Control: anyAddr.Draw(t, "control"),
		RecvBuffer: rapid.Uint32().Draw(t, "buffer"), Segment: rapid.Uint16Min(uint16(wire.MinSegment(1))).Draw(t, "segment"),
	}
})

func TestBeaconRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Beacon{
			Kind: rapid.SampledFrom([]wire.Kind{wire.Here, wire.Ring}).Draw(t, "kind"),
			From: anyMember.Draw(t, "from"), Expect: rapid.IntRange(0, MaxMembers).Draw(t, "expect"),
			Ring: rapid.Uint64().Draw(t, "ring"), Founded: rapid.Int64().Draw(t, "founded"), Num: rapid.Uint64().Draw(t, "num"),
			Key: rapid.Uint64().Draw(t, "key"), Size: rapid.IntRange(0, MaxMembers).Draw(t, "size"),
		}
		body := want.Append(nil)
		got, err := ParseBeacon(want.Kind, body)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, %v; want %+v", got, err, want)
		}
		cut := rapid.IntRange(0, len(body)-1).Draw(t, "cut")
		if _, err := ParseBeacon(want.Kind, body[:cut]); !errors.Is(err, ErrBeacon) {
			t.Fatalf("cut to %d of %d bytes: %v", cut, len(body), err)
		}
		if _, err := ParseBeacon(want.Kind, append(body, 0)); !errors.Is(err, ErrBeacon) {
			t.Fatalf("with a byte too many: %v", err)
		}
	})
}

func TestMalformedBeacons(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(b *Beacon)
		ok    bool
	}{
		{"as it is", func(*Beacon) {}, true},
		{"nobody", func(b *Beacon) { b.From.ID = 0 }, false},
		{"too many members", func(b *Beacon) { b.Size = MaxMembers + 1 }, false},
		{"too many expected", func(b *Beacon) { b.Expect = MaxMembers + 1 }, false},
		{"no address", func(b *Beacon) { b.From.Addr = netip.AddrPort{} }, false},
		{"no control address", func(b *Beacon) { b.From.Control = netip.AddrPort{} }, false},
		{"no room in a packet", func(b *Beacon) { b.From.Segment = 100 }, false},
	} {
		b := goldenRing()
		c.spoil(&b)
		if _, err := ParseBeacon(b.Kind, b.Append(nil)); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestLongNamesAreCut: a name that is too long must not make a node unheard.
func TestLongNamesAreCut(t *testing.T) {
	b := goldenRing()
	b.From.Name = strings.Repeat("x", 300)
	got, err := ParseBeacon(wire.Here, b.Append(nil))
	if err != nil || got.From.Name != b.From.Name[:MaxName] {
		t.Errorf("got %q, %v", got.From.Name, err)
	}
}

// goldenRing is what testdata/ring.hex spells out.
func goldenRing() Beacon {
	from := Member{
		ID: 0x0102030405060708, Since: 9, Joined: 1, Name: "a", Addr: netip.MustParseAddrPort("10.0.0.1:7000"),
		Control: netip.MustParseAddrPort("[fe80::1]:258"), RecvBuffer: 1 << 20, Segment: 1472,
	}
	return Beacon{Kind: wire.Ring, From: from, Expect: 2, Ring: 0x1112131415161718, Founded: 10, Num: 7, Key: 0x2122232425262728, Size: 3}
}

// TestGolden holds the format still: if a byte moves, it is another version.
func TestGolden(t *testing.T) {
	file, err := os.ReadFile("testdata/ring.hex")
	if err != nil {
		t.Fatal(err)
	}
	var digits strings.Builder
	for line := range strings.Lines(string(file)) {
		line, _, _ = strings.Cut(line, "#")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	want, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	if got := goldenRing().Append(nil); !bytes.Equal(got, want) {
		t.Errorf("Append writes\n%x\nthe frozen format is\n%x", got, want)
	}
	if got, err := ParseBeacon(wire.Ring, want); err != nil || !reflect.DeepEqual(got, goldenRing()) {
		t.Errorf("got %+v, %v", got, err)
	}
}

// FuzzParseBeacon: nothing panics, memory stays in proportion, and what is
// understood is written again as it was read.
func FuzzParseBeacon(f *testing.F) {
	f.Add(goldenRing().Append(nil))
	f.Add(Beacon{From: goldenRing().From, Expect: 3}.Append(nil))
	f.Fuzz(func(t *testing.T, body []byte) {
		b, err := ParseBeacon(wire.Here, body)
		if err != nil {
			return
		}
		if again := b.Append(nil); !bytes.Equal(again, body) {
			t.Fatalf("read %x, written again %x", body, again)
		}
	})
}
