package membership

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// person is a member for tests: started in the given year, so to say.
func person(id uint64, since int64) Member {
	return Member{
		ID: id, Since: since, Name: fmt.Sprintf("node%d", id), RecvBuffer: 1 << 20, Segment: 1472,
		Addr: netip.MustParseAddrPort(fmt.Sprintf("10.0.0.%d:7000", id)),
	}
}

func viewOf(num uint64, ms ...Member) View { return View{Num: num, Members: ms} }

func TestOlder(t *testing.T) {
	for _, c := range []struct {
		a, b Member
		want int
	}{
		{person(1, 10), person(2, 20), -1},
		{person(1, 20), person(2, 10), 1},
		{person(1, 10), person(2, 10), -1}, // the ID breaks the tie
		{person(2, 10), person(1, 10), 1},
		{person(1, 10), person(1, 10), 0},
		{person(1, -5), person(2, 5), -1},
	} {
		if got := Older(c.a, c.b); got != c.want {
			t.Errorf("%d started %d, %d started %d: %d, want %d", c.a.ID, c.a.Since, c.b.ID, c.b.Since, got, c.want)
		}
	}
}

func TestValidateNamesWhatIsWrong(t *testing.T) {
	var many []Member
	for i := range MaxMembers + 1 {
		many = append(many, person(uint64(i+1), int64(i)))
	}
	for _, c := range []struct {
		v    View
		want []string // in the error; none: valid
	}{
		{viewOf(1, person(1, 10)), nil},
		{viewOf(1, person(2, 10), person(1, 20)), nil},
		{viewOf(1, many[:MaxMembers]...), nil},
		{viewOf(7), []string{"view 7", "0 members", "1 to 64"}},
		{viewOf(7, many...), []string{"view 7", "65 members", "1 to 64"}},
		{viewOf(7, person(1, 10), person(2, 30), person(3, 20)), []string{"view 7", "rank 1 is not older than rank 2"}},
		{viewOf(7, person(2, 10), person(1, 10)), []string{"rank 0 is not older than rank 1"}},
		{viewOf(7, person(1, 10), person(1, 10)), []string{"rank 0 is not older than rank 1"}},
		{viewOf(7, person(1, 10), person(2, 20), person(1, 30)), []string{"view 7", "rank 2 repeats ID 0000000000000001"}},
	} {
		err := c.v.Validate()
		if (err == nil) != (c.want == nil) {
			t.Errorf("%v: %v, want %q", c.v, err, c.want)
			continue
		}
		for _, part := range c.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%v, want it to say %q", err, part)
			}
		}
	}
}

// TestKeysDiffer: views that differ in number, members or ranks have different
// keys; nothing else matters to a key.
func TestKeysDiffer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOfNDistinct(rapid.Uint64(), 2, MaxMembers, rapid.ID).Draw(t, "ids")
		v := View{Num: rapid.Uint64().Draw(t, "num")}
		for _, id := range ids {
			v.Members = append(v.Members, Member{ID: id})
		}
		other := View{Num: v.Num, Members: slices.Clone(v.Members)}
		other.Members[0].Name, other.Members[0].Segment = "renamed", 9000
		if other.Key() != v.Key() {
			t.Fatal("the key depends on more than who is in the view")
		}
		switch i := rapid.IntRange(0, len(ids)-1).Draw(t, "which"); rapid.SampledFrom([]string{"number", "restart", "leave", "swap"}).Draw(t, "what") {
		case "number":
			other.Num++
		case "restart":
			other.Members[i].ID++
		case "leave":
			other.Members = slices.Delete(other.Members, i, i+1)
		case "swap":
			j := (i + 1) % len(ids)
			other.Members[i], other.Members[j] = other.Members[j], other.Members[i]
		}
		if other.Key() == v.Key() {
			t.Fatalf("%v and %v have the same key", v, other)
		}
	})
}

// TestKeyIsFrozen: it is on the wire.
func TestKeyIsFrozen(t *testing.T) {
	if got, want := viewOf(1, person(1, 10), person(2, 20)).Key(), uint64(0x29d490bf86ae2aa9); got != want {
		t.Errorf("key %016x, want %016x", got, want)
	}
}

func TestRankAndMajority(t *testing.T) {
	v := viewOf(1, person(5, 10), person(3, 20), person(9, 30))
	for id, want := range map[uint64]int{5: 0, 3: 1, 9: 2, 4: -1} {
		if got := v.Rank(id); got != want {
			t.Errorf("rank of %d is %d, want %d", id, got, want)
		}
	}
	for n := 1; n <= MaxMembers; n++ {
		v := View{Members: make([]Member, n)}
		if k := v.Majority(); 2*k <= n || 2*(k-1) > n {
			t.Errorf("%d are called a majority of %d", k, n)
		}
	}
}

func TestTheWeakestMemberCounts(t *testing.T) {
	v := viewOf(1, person(1, 1), person(2, 2), person(3, 3))
	v.Members[1].Segment, v.Members[2].RecvBuffer = 600, 1<<31
	v.Members[0].RecvBuffer = 5000
	if v.Segment() != 600 || v.RecvBuffer() != 5000 {
		t.Errorf("segment %d, receive buffer %d; want 600 and 5000", v.Segment(), v.RecvBuffer())
	}
}
