package membership

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var anyControl = rapid.Custom(func(t *rapid.T) Member {
	m := anyMember.Draw(t, "member")
	m.Joined = rapid.Uint64().Draw(t, "joined")
	m.Control = netip.AddrPortFrom(m.Addr.Addr(), rapid.Uint16().Draw(t, "control port"))
	return m
})

// anyViewOf draws views of at least least members.
func anyViewOf(least int) *rapid.Generator[View] {
	return rapid.Custom(func(t *rapid.T) View {
		v := View{Ring: rapid.Uint64().Draw(t, "ring"), Founded: rapid.Int64().Draw(t, "founded"), Num: rapid.Uint64().Draw(t, "num")}
		most := rapid.SampledFrom([]int{3, MaxMembers}).Draw(t, "most")
		v.Members = rapid.SliceOfNDistinct(anyControl, least, most, func(m Member) uint64 { return m.ID }).Draw(t, "members")
		slices.SortFunc(v.Members, Older)
		v.Members = orNil(v.Members)
		return v
	})
}

// orNil returns what is read where nothing is written.
func orNil[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}

var (
	anyVector    = rapid.SliceOfN(rapid.Uint64(), 0, MaxMembers)
	anyDeparture = rapid.Custom(func(t *rapid.T) Departure {
		return Departure{rapid.IntRange(0, MaxMembers-1).Draw(t, "rank"), Reason(rapid.IntRange(1, int(lastReason)).Draw(t, "reason"))}
	})
	anyDepartures = rapid.SliceOfN(anyDeparture, 0, MaxMembers)
	anyProposal   = rapid.Custom(func(t *rapid.T) Proposal {
		return Proposal{
			Next: anyViewOf(0).Draw(t, "next"), Cut: orNil(anyVector.Draw(t, "cut")), Gone: orNil(anyDepartures.Draw(t, "gone")),
		}
	})
)

// letterOf draws letters of a kind.
func letterOf(kind LetterKind) *rapid.Generator[Letter] {
	return rapid.Custom(func(t *rapid.T) Letter {
		l := Letter{Kind: kind, View: rapid.Uint64().Draw(t, "view"), Num: rapid.Uint64().Draw(t, "num"), Ballot: Ballot(rapid.Uint64().Draw(t, "ballot"))}
		switch kind {
		case Join:
			l.Member, l.Lone = anyControl.Draw(t, "member"), rapid.Bool().Draw(t, "lone")
		case Invite:
			l.Full = anyViewOf(1).Draw(t, "full")
		case Gone:
			l.Ring, l.Ballot = uint64(l.Ballot), 0
			fallthrough
		case Refuse:
			l.Text = rapid.StringN(0, -1, 255).Draw(t, "text")
		case Suspect:
			l.Suspicions = orNil(anyDepartures.Draw(t, "suspicions"))
		case Promise:
			l.Row = orNil(anyVector.Draw(t, "row"))
			if l.Accepted = Ballot(rapid.Uint64().Draw(t, "accepted")); l.Accepted != 0 {
				l.Proposal = anyProposal.Draw(t, "proposal")
			}
		case Propose, Install:
			l.Proposal = anyProposal.Draw(t, "proposal")
			l.Holders = orNil(rapid.SliceOfN(rapid.Byte(), 0, MaxMembers).Draw(t, "holders"))
		case Hears:
			l.Heard = rapid.Bool().Draw(t, "heard")
		case State:
			l.Blob = rapid.SliceOfN(rapid.Byte(), 1, 2000).Draw(t, "blob")
		}
		return l
	})
}

func TestLetterRoundTrip(t *testing.T) {
	for kind := Join; kind <= lastKind; kind++ {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				want := letterOf(kind).Draw(t, "letter")
				body := want.Append([]byte("before"))
				if !bytes.HasPrefix(body, []byte("before")) {
					t.Fatal("Append does not append")
				}
				body = body[len("before"):]
				got, err := ParseLetter(body)
				if err != nil || !reflect.DeepEqual(got, want) {
					t.Fatalf("got %+v, %v; want %+v", got, err, want)
				}
				if kind == State { // a blob may end anywhere
					return
				}
				cut := rapid.IntRange(0, len(body)-1).Draw(t, "cut")
				if _, err := ParseLetter(body[:cut]); !errors.Is(err, ErrLetter) {
					t.Fatalf("cut to %d of %d bytes: %v", cut, len(body), err)
				}
				if _, err := ParseLetter(append(body, 0)); !errors.Is(err, ErrLetter) {
					t.Fatalf("with a byte too many: %v", err)
				}
			})
		})
	}
}

// TestLongTextsAreCut: they are for people.
func TestLongTextsAreCut(t *testing.T) {
	got, err := ParseLetter(Letter{Kind: Refuse, Text: strings.Repeat("a", 300)}.Append(nil))
	if err != nil || got.Text != strings.Repeat("a", 255) {
		t.Errorf("got %q, %v", got.Text, err)
	}
}

// goldenLetter is what goldenBytes spell out.
func goldenLetter() Letter {
	a := Member{ID: 0x0102030405060708, Since: 9, Joined: 1, Name: "a", RecvBuffer: 1 << 20, Segment: 1472,
		Addr: netip.MustParseAddrPort("10.0.0.1:7000"), Control: netip.MustParseAddrPort("10.0.0.1:7001")}
	b := Member{ID: 2, Since: 10, Joined: 4, RecvBuffer: 212992, Segment: 65507,
		Addr: netip.MustParseAddrPort("[fe80::1]:258"), Control: netip.MustParseAddrPort("[fe80::1]:259")}
	return Letter{
		Kind: Propose, View: 0xa1a2a3a4a5a6a7a8, Num: 3, Ballot: makeBallot(5, 1),
		Proposal: Proposal{
			Next: View{Ring: 0xb1b2b3b4b5b6b7b8, Founded: 11, Num: 4, Members: []Member{a, b}},
			Cut:  []uint64{7, 258}, Gone: []Departure{{1, Crashed}},
		},
		Holders: []uint8{0, 1},
	}
}

const goldenBytes = `
0a                                  # kind: Propose
a8a7a6a5a4a3a2a1                    # key of the view
0300000000000000                    # its number
0105000000000000                    # ballot: round 5 of rank 1
b8b7b6b5b4b3b2b1                    # next view: ring
0b00000000000000                    # founded
0400000000000000                    # number
02                                  # two members
0807060504030201                    # rank 0: ID
0900000000000000                    # since
0100000000000000                    # joined
00001000                            # receive buffer, 1 MiB
c005                                # segment, 1472
581b 04 0a000001                    # address of the data plane: port 7000, 4 bytes
591b 04 0a000001                    # of the control plane
01 61                               # name
0200000000000000                    # rank 1: ID
0a00000000000000                    # since
0400000000000000                    # joined
00400300                            # receive buffer
e3ff                                # segment, 65507
0201 10 fe800000000000000000000000000001
0301 10 fe800000000000000000000000000001
00                                  # no name
02                                  # cut: of two senders
0700000000000000
0201000000000000
01 01 02                            # gone: one, rank 1, crashed
02 00 01                            # holders: of two
`

// TestGoldenLetter holds the format still: if a byte moves, it is another version.
func TestGoldenLetter(t *testing.T) {
	var digits strings.Builder
	for line := range strings.Lines(goldenBytes) {
		line, _, _ = strings.Cut(line, "#")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	want, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	if got := goldenLetter().Append(nil); !bytes.Equal(got, want) {
		t.Errorf("Append writes\n%x\nthe frozen format is\n%x", got, want)
	}
	if got, err := ParseLetter(want); err != nil || !reflect.DeepEqual(got, goldenLetter()) {
		t.Errorf("the frozen bytes are read as %+v, %v", got, err)
	}
}

func TestMalformedLetters(t *testing.T) {
	a, b := person(1, 10), person(2, 20)
	for _, m := range []*Member{&a, &b} {
		m.Control = m.Addr
	}
	with := func(change func(m *Member)) View {
		m := b
		change(&m)
		return viewOf(1, a, m)
	}
	var crowd []Member
	for i := range MaxMembers + 1 {
		m := person(uint64(i+1), int64(i))
		m.Addr, m.Control = a.Addr, a.Addr
		crowd = append(crowd, m)
	}
	propose := func(change func(p *Proposal, l *Letter)) []byte {
		l := goldenLetter()
		change(&l.Proposal, &l)
		return l.Append(nil)
	}
	join := Letter{Kind: Join, Member: a, Lone: true}.Append(nil)
	for _, c := range []struct {
		name string
		b    []byte
		ok   bool
	}{
		{"nothing", nil, false},
		{"a request to join", join, true},
		{"neither alone nor not", append(slices.Clone(join[:len(join)-1]), 2), false},
		{"no kind", Letter{Kind: 0}.Append(nil), false},
		{"a kind too many", Letter{Kind: lastKind + 1}.Append(nil), false},
		{"invitation", Letter{Kind: Invite, Full: viewOf(1, a, b)}.Append(nil), true},
		{"to nobody", Letter{Kind: Invite}.Append(nil), false},
		{"not by age", Letter{Kind: Invite, Full: viewOf(1, b, a)}.Append(nil), false},
		{"one twice", Letter{Kind: Invite, Full: viewOf(1, a, a)}.Append(nil), false},
		{"as many as can be", Letter{Kind: Invite, Full: viewOf(1, crowd[:MaxMembers]...)}.Append(nil), true},
		{"too many", Letter{Kind: Invite, Full: viewOf(1, crowd...)}.Append(nil), false},
		{"no address", Letter{Kind: Invite, Full: with(func(m *Member) { m.Control = netip.AddrPort{} })}.Append(nil), false},
		{"tiny segment", Letter{Kind: Invite, Full: with(func(m *Member) { m.Segment = 63 })}.Append(nil), false},
		{"suspicion", Letter{Kind: Suspect, Suspicions: []Departure{{MaxMembers - 1, lastReason}}}.Append(nil), true},
		{"of nobody's rank", Letter{Kind: Suspect, Suspicions: []Departure{{MaxMembers, Crashed}}}.Append(nil), false},
		{"for no reason", Letter{Kind: Suspect, Suspicions: []Departure{{1, 0}}}.Append(nil), false},
		{"for an unknown reason", Letter{Kind: Suspect, Suspicions: []Departure{{1, lastReason + 1}}}.Append(nil), false},
		{"of too many", Letter{Kind: Suspect, Suspicions: slices.Repeat([]Departure{{1, Crashed}}, MaxMembers+1)}.Append(nil), false},
		{"too long a row", Letter{Kind: Promise, Row: make([]uint64, MaxMembers+1)}.Append(nil), false},
		{"proposal", propose(func(*Proposal, *Letter) {}), true},
		{"dissolution", propose(func(p *Proposal, _ *Letter) { p.Next.Members = nil }), true},
		{"next not by age", propose(func(p *Proposal, _ *Letter) { slices.Reverse(p.Next.Members) }), false},
		{"gone for no reason", propose(func(p *Proposal, _ *Letter) { p.Gone[0].Reason = 0 }), false},
		{"too long a cut", propose(func(p *Proposal, _ *Letter) { p.Cut = make([]uint64, MaxMembers+1) }), false},
		{"too many holders", propose(func(_ *Proposal, l *Letter) { l.Holders = make([]uint8, MaxMembers+1) }), false},
		{"state", Letter{Kind: State, Blob: []byte("any")}.Append(nil), true},
	} {
		l, err := ParseLetter(c.b)
		if (err == nil) != c.ok || err != nil && (!errors.Is(err, ErrLetter) || !reflect.DeepEqual(l, Letter{})) {
			t.Errorf("%s: %v, %+v", c.name, err, l)
		}
	}
}

func TestKindsAndReasonsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for kind := Join; kind <= lastKind; kind++ {
		seen[kind.String()] = true
	}
	for why := Left; why <= lastReason; why++ {
		seen[why.String()] = true
	}
	if want := int(lastKind) + int(lastReason); len(seen) != want || seen[""] {
		t.Errorf("%d names, want %d: %v", len(seen), want, seen)
	}
	for got, want := range map[fmt.Stringer]string{Propose: "Propose", lastKind + 1: "LetterKind(17)", Crashed: "crashed", Reason(0): "Reason(0)"} {
		if got.String() != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// FuzzParseLetter: nothing panics, nothing is larger than a view allows, and what
// is read is written again byte for byte.
func FuzzParseLetter(f *testing.F) {
	for kind := Join; kind <= lastKind; kind++ {
		for seed := range 3 {
			f.Add(letterOf(kind).Example(seed).Append(nil))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := ParseLetter(b)
		if err != nil {
			if !errors.Is(err, ErrLetter) || !reflect.DeepEqual(l, Letter{}) {
				t.Fatalf("%v, and yet %+v", err, l)
			}
			return
		}
		for _, k := range []int{len(l.Row), len(l.Proposal.Cut), len(l.Proposal.Gone), len(l.Proposal.Next.Members), len(l.Holders), len(l.Suspicions), len(l.Full.Members)} {
			if k > MaxMembers {
				t.Fatalf("a list of %d", k)
			}
		}
		again := l.Append(nil)
		if !bytes.Equal(again, b) {
			t.Fatalf("read from\n%x\nwritten as\n%x", b, again)
		}
	})
}
