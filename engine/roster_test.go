package engine

import (
	"encoding/binary"
	"log/slog"
	"testing"

	"cohort/groups"
	"cohort/membership"
	"cohort/process"
	"cohort/site"
	"cohort/slab"
)

// rosterNode is a node that is alone in a ring, without sockets, and does not know
// the table of groups.
func rosterNode(t *testing.T) *Node {
	n := &Node{formed: make(chan struct{})}
	n.cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	n.groups.init()
	n.presence.init()
	n.pool = slab.NewPool()
	cfg := process.Config{Site: site.Config{Rules: membership.Rules{Timeout: 1e9}}}
	n.proc = process.New(0, cfg, membership.Member{ID: 1, Since: 1, Segment: 1472, RecvBuffer: 1 << 20}, n.pool)
	n.proc.Flush(1e9)
	if !n.proc.In() {
		t.Fatal("not in a ring")
	}
	n.presence.set(place{standing: inView, view: n.proc.Site().View()})
	return n
}

// tableOf returns the letter of one who has delivered ops operations, and has groups
// with these names.
func tableOf(n *Node, v membership.View, ops uint32, names ...string) membership.Letter {
	table := groups.New[*Group](v)
	for _, name := range names {
		table.Apply(0, groups.Op{Kind: groups.Join, Name: name})
	}
	b := binary.LittleEndian.AppendUint32([]byte{1}, ops)
	return membership.Letter{Kind: membership.State, View: v.Key(), Num: v.Num, Blob: table.Append(b)}
}

// TestLateRosterCounts: who gets the table later in a view carries out the rest, and
// passes the table on with the place in the order that it then belongs to.
func TestLateRosterCounts(t *testing.T) {
	n := rosterNode(t)
	v := n.view()
	for _, name := range []string{"a", "b", "c"} {
		n.roster.kept = append(n.roster.kept, keptOp{0, groups.Op{Kind: groups.Join, Name: name}})
	}
	n.hearRoster(1, tableOf(n, v, 4, "a", "b", "c", "d"))
	if n.roster.known {
		t.Fatal("a table of what has yet to be delivered is taken")
	}
	n.hearRoster(1, tableOf(n, v, 2, "a", "b"))
	if !n.roster.known || n.groups.table.Len() != 3 {
		t.Fatalf("known %v, %d groups, want 3", n.roster.known, n.groups.table.Len())
	}
	if ops := binary.LittleEndian.Uint32(n.rosterLetter(v).Blob[1:]); ops != 3 {
		t.Errorf("the table is passed on as of %d operations, want 3", ops)
	}
}

// TestRosterOfNobody: one that is alone has nobody to ask, and begins without groups.
func TestRosterOfNobody(t *testing.T) {
	n := rosterNode(t)
	n.roster.kept = []keptOp{{0, groups.Op{Kind: groups.Join, Name: "a"}}}
	if n.seekRoster(1); !n.roster.known || n.groups.table.Len() != 1 {
		t.Errorf("known %v, %d groups, want 1", n.roster.known, n.groups.table.Len())
	}
}

// TestEarlyRosters: a table that comes before the view does is taken when that has
// begun, if it is one and is from a member.
func TestEarlyRosters(t *testing.T) {
	for name, c := range map[string]struct {
		from  uint64
		blob  func(whole []byte) []byte
		known int
	}{
		"from a member":   {1, func(b []byte) []byte { return b }, 2},
		"from a stranger": {9, func(b []byte) []byte { return b }, 0},
		"without a table": {1, func(b []byte) []byte { return b[:1] }, 0},
		"with half a one": {1, func(b []byte) []byte { return b[:20] }, 0},
		"empty":           {1, func([]byte) []byte { return nil }, 0},
	} {
		n := rosterNode(t)
		in := *n.presence.now()
		n.presence.set(place{standing: outside, err: errOutside})
		l := tableOf(n, in.view, 0, "a", "b")
		l.Blob = c.blob(l.Blob)
		n.hearRoster(c.from, l)
		n.presence.set(place{standing: inView, view: in.view, rank: in.rank})
		n.seekRoster(1)
		if k := n.groups.table.Len(); k != c.known {
			t.Errorf("%s: %d groups, want %d", name, k, c.known)
		}
	}
}
