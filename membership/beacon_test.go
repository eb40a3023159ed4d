package membership

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"cohort/wire"

	"pgregory.net/rapid"
)

var anyMember = rapid.Custom(func(t *rapid.T) Member {
	size := rapid.SampledFrom([]int{4, 16}).Draw(t, "address size")
	addr, _ := netip.AddrFromSlice(rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "address"))
	return Member{
		ID: rapid.Uint64().Draw(t, "id"), Since: rapid.Int64().Draw(t, "since"), Name: rapid.StringN(0, -1, MaxName).Draw(t, "name"),
		Addr: netip.AddrPortFrom(addr, rapid.Uint16().Draw(t, "port")), RecvBuffer: rapid.Uint32().Draw(t, "buffer"),
		Segment: rapid.Uint16Min(uint16(wire.MinSegment(1))).Draw(t, "segment"),
	}
})

func TestBeaconRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Beacon{
			Kind: wire.Kind(rapid.IntRange(int(wire.Hello), int(wire.Formed)).Draw(t, "kind")),
			From: anyMember.Draw(t, "from"), Expect: int(rapid.Uint16().Draw(t, "expect")),
		}
		if want.Kind != wire.Hello {
			most := rapid.SampledFrom([]int{3, MaxMembers}).Draw(t, "most")
			want.View.Num = rapid.Uint64().Draw(t, "num")
			want.View.Members = rapid.SliceOfNDistinct(anyMember, 1, most, func(m Member) uint64 { return m.ID }).Draw(t, "members")
			slices.SortFunc(want.View.Members, Older)
		}
		body := want.Append(nil)
		if wire.Overhead+len(body) > wire.MaxPacket {
			t.Fatalf("%d bytes do not fit a packet", len(body))
		}
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
	a, b := person(1, 10), person(2, 20)
	with := func(change func(m *Member)) Member {
		m := b
		change(&m)
		return m
	}
	var crowd []Member
	for i := range MaxMembers + 1 {
		crowd = append(crowd, person(uint64(i+1), int64(i)))
	}
	for _, c := range []struct {
		name string
		b    Beacon
		ok   bool
	}{
		{"hello", Beacon{Kind: wire.Hello, From: a, Expect: 2}, true},
		{"proposal", Beacon{Kind: wire.Propose, From: a, Expect: 2, View: viewOf(1, a, b)}, true},
		{"no members", Beacon{Kind: wire.Propose, From: a, Expect: 2, View: viewOf(1)}, false},
		{"not by age", Beacon{Kind: wire.Install, From: a, Expect: 2, View: viewOf(1, b, a)}, false},
		{"one twice", Beacon{Kind: wire.Accept, From: a, Expect: 2, View: viewOf(1, a, a)}, false},
		{"too many", Beacon{Kind: wire.Formed, From: a, Expect: 2, View: viewOf(1, crowd...)}, false},
		{"no address", Beacon{Kind: wire.Hello, From: with(func(m *Member) { m.Addr = netip.AddrPort{} })}, false},
		{"no room in a packet", Beacon{Kind: wire.Hello, From: with(func(m *Member) { m.Segment = 100 })}, false},
		{"a member without an address", Beacon{Kind: wire.Propose, From: a, View: viewOf(1, a, with(func(m *Member) { m.Addr = netip.AddrPort{} }))}, false},
	} {
		if _, err := ParseBeacon(c.b.Kind, c.b.Append(nil)); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestLongNamesAreCut: a name that is too long must not make a node unheard.
func TestLongNamesAreCut(t *testing.T) {
	m := person(1, 1)
	m.Name = strings.Repeat("x", 300)
	got, err := ParseBeacon(wire.Hello, Beacon{From: m}.Append(nil))
	if err != nil || got.From.Name != m.Name[:MaxName] {
		t.Errorf("got %q, %v", got.From.Name, err)
	}
}

// goldenProposal is what testdata/propose.hex spells out.
func goldenProposal() Beacon {
	a := Member{ID: 0x0102030405060708, Since: 9, Name: "a", Addr: netip.MustParseAddrPort("10.0.0.1:7000"), RecvBuffer: 1 << 20, Segment: 1472}
	b := Member{ID: 2, Since: 10, Addr: netip.MustParseAddrPort("[fe80::1]:258"), RecvBuffer: 212992, Segment: 65507}
	return Beacon{Kind: wire.Propose, From: a, Expect: 2, View: viewOf(1, a, b)}
}

// TestGolden holds the format still: if a byte moves, it is another version.
func TestGolden(t *testing.T) {
	file, err := os.ReadFile("testdata/propose.hex")
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
	if got := goldenProposal().Append(nil); !bytes.Equal(got, want) {
		t.Errorf("Append writes\n%x\nthe frozen format is\n%x", got, want)
	}
	if got, err := ParseBeacon(wire.Propose, want); err != nil || !reflect.DeepEqual(got, goldenProposal()) {
		t.Errorf("got %+v, %v", got, err)
	}
}

// FuzzParseBeacon: nothing panics, memory stays in proportion, and what is
// understood is written again as it was read.
func FuzzParseBeacon(f *testing.F) {
	f.Add(uint8(wire.Propose), goldenProposal().Append(nil))
	f.Add(uint8(wire.Hello), Beacon{From: person(1, 10), Expect: 3}.Append(nil))
	f.Add(uint8(wire.Formed), Beacon{From: person(2, 10), View: viewOf(1, person(2, 10))}.Append(nil))
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		b, err := ParseBeacon(wire.Kind(kind), body)
		if err != nil {
			return
		}
		if len(b.View.Members) > MaxMembers+1 || b.Kind != wire.Hello && b.View.Validate() != nil {
			t.Fatalf("a view of %d members: %v", len(b.View.Members), b.View.Validate())
		}
		if again := b.Append(nil); !bytes.Equal(again, body) {
			t.Fatalf("read %x, written again %x", body, again)
		}
		former := NewFormer(0, person(1, 10), 2)
		former.Receive(0, b)
		for _, say := range former.Step(0) {
			if _, err := ParseBeacon(say.Kind, say.Append(nil)); err != nil {
				t.Fatalf("answers with a malformed beacon: %+v", say)
			}
		}
	})
}
