package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// vectors draws a vector of n entries and one that is nowhere smaller.
func vectors(t *rapid.T, n int) (old, now []uint64) {
	for range n {
		o := rapid.Uint64Range(0, 1<<50).Draw(t, "old")
		old, now = append(old, o), append(now, o+rapid.Uint64Range(0, maxDelta).Draw(t, "increase")*uint64(rapid.IntRange(0, 1).Draw(t, "changed")))
	}
	return old, now
}

func TestSectionsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 64).Draw(t, "n")
		h := Header{Kind: Data, Seq: 1, Flags: uint8(rapid.IntRange(0, 15).Draw(t, "flags")), Body: rapid.IntRange(0, 20).Draw(t, "body")}
		depOld, dep := vectors(t, n)
		cutOld, cut := vectors(t, n)
		_, rcv := vectors(t, n)
		T, next := rapid.Uint64Min(1).Draw(t, "T"), rapid.IntRange(0, n-1).Draw(t, "next")
		no, ord, pause := rapid.Uint64().Draw(t, "no"), rapid.Uint64().Draw(t, "ord"), rapid.Bool().Draw(t, "pause")
		var sec []byte
		if h.Flags&HasDep != 0 {
			sec = AppendDeltas(sec, depOld, dep)
			if want := DeltasSize(depOld, dep); len(sec) != want {
				t.Fatalf("%d bytes of dep, DeltasSize says %d", len(sec), want)
			}
		}
		if before := len(sec); h.Flags&HasRecord != 0 {
			sec = AppendRecord(sec, T, next, cutOld, cut)
			if got := len(sec) - before; got != RecordSize(cutOld, cut) || got > MaxRecord(n) {
				t.Fatalf("%d bytes of record, RecordSize says %d and MaxRecord %d", got, RecordSize(cutOld, cut), MaxRecord(n))
			}
		}
		if before := len(sec); h.Flags&HasRow != 0 {
			sec = AppendRow(sec, no, ord, pause, rcv)
			if got := len(sec) - before; got != RowSize(n) {
				t.Fatalf("%d bytes of row, RowSize says %d", got, RowSize(n))
			}
		}
		padding := rapid.IntRange(0, 9).Draw(t, "padding")
		s, err := h.Sections(sealed(h, make([]byte, h.Body), sec, make([]byte, padding)), n)
		if err != nil {
			t.Fatal(err)
		}
		if got := applied(s.Dep, depOld); h.Flags&HasDep != 0 && !reflect.DeepEqual(got, dep) {
			t.Fatalf("dep %v, want %v", got, dep)
		}
		if h.Flags&HasRecord != 0 {
			if got := applied(s.Record.Cut, cutOld); s.Record.T != T || s.Record.Next != next || !reflect.DeepEqual(got, cut) {
				t.Fatalf("record %d %d %v, want %d %d %v", s.Record.T, s.Record.Next, got, T, next, cut)
			}
		}
		if (s.Row != nil) != (h.Flags&HasRow != 0) {
			t.Fatalf("row %v, flags %04b", s.Row, h.Flags)
		}
		if s.Row != nil {
			got := make([]uint64, n)
			for k := range got {
				got[k] = s.Row.Rcv(k)
			}
			if s.Row.No() != no || s.Row.Ord() != ord || s.Row.Pause() != pause || !reflect.DeepEqual(got, rcv) {
				t.Fatalf("row %d %d %v %v, want %d %d %v %v", s.Row.No(), s.Row.Ord(), s.Row.Pause(), got, no, ord, pause, rcv)
			}
		}
	})
}

func applied(d Deltas, old []uint64) []uint64 {
	v := append([]uint64(nil), old...)
	d.AddTo(v)
	return v
}

// TestMalformedSections: what the checks refuse, in a view of three.
func TestMalformedSections(t *testing.T) {
	pair := func(rank byte, by uint64) []byte { return binary.AppendUvarint([]byte{rank}, by) }
	list := func(count byte, pairs ...[]byte) []byte {
		b := []byte{count}
		for _, p := range pairs {
			b = append(b, p...)
		}
		return b
	}
	record := func(t uint64, next byte, cut []byte) []byte {
		return append(append(le.AppendUint64(nil, t), next), cut...)
	}
	for _, c := range []struct {
		name  string
		flags uint8
		sec   []byte
		ok    bool
	}{
		{"dep: changes nothing", HasDep, list(0), true},
		{"dep: all three ranks", HasDep, list(3, pair(0, 1), pair(1, 1<<40), pair(2, 1)), true},
		{"dep: a varint longer than it must be", HasDep, []byte{1, 0, 0x81, 0x00}, true},
		{"dep: missing", HasDep, nil, false},
		{"dep: more entries than members", HasDep, list(4, pair(0, 1), pair(1, 1), pair(2, 1), pair(3, 1)), false},
		{"dep: fewer entries than it says", HasDep, list(2, pair(0, 1)), false},
		{"dep: rank out of range", HasDep, list(1, pair(3, 1)), false},
		{"dep: rank repeated", HasDep, list(2, pair(1, 1), pair(1, 1)), false},
		{"dep: ranks out of order", HasDep, list(2, pair(1, 1), pair(0, 1)), false},
		{"dep: no increase", HasDep, list(1, pair(1, 0)), false},
		{"dep: increase too large to be true", HasDep, list(1, pair(1, 1<<40+1)), false},
		{"dep: varint without an end", HasDep, []byte{1, 0, 0x80}, false},
		{"dep: varint of more than 64 bits", HasDep, []byte{1, 0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2}, false},
		{"record: orders nothing", HasRecord, record(1, 2, list(0)), true},
		{"record: missing", HasRecord, nil, false},
		{"record: cut short", HasRecord, record(1, 0, nil)[:8], false},
		{"record: without a cut", HasRecord, record(1, 0, nil), false},
		{"record: number 0", HasRecord, record(0, 0, list(1, pair(0, 1))), false},
		{"record: next holder out of range", HasRecord, record(1, 3, list(1, pair(0, 1))), false},
		{"record: rank out of range", HasRecord, record(1, 0, list(1, pair(9, 1))), false},
		{"row", HasRow, make([]byte, RowSize(3)), true},
		{"row: of a smaller view", HasRow, make([]byte, RowSize(2)), false},
		{"row: missing", HasRow, nil, false},
		{"row: not after the dep", HasDep | HasRow, append([]byte{9}, make([]byte, RowSize(3))...), false},
	} {
		h := Header{Kind: Data, Seq: 1, Flags: c.flags}
		s, err := h.Sections(sealed(h, c.sec), 3)
		if c.ok != (err == nil) || err != nil && (!errors.Is(err, ErrSection) || !reflect.DeepEqual(s, Sections{})) {
			t.Errorf("%s: %+v, %v", c.name, s, err)
		}
	}
}

// TestMinSegment: the largest dep and record of n members leave room for a
// frame in the smallest segment.
func TestMinSegment(t *testing.T) {
	for n := 1; n <= 64; n++ {
		old, now := make([]uint64, n), make([]uint64, n)
		for k := range now {
			now[k] = maxDelta
		}
		dep, record := DeltasSize(old, now), RecordSize(old, now)
		if room := MinSegment(n) - Overhead - dep - record; room < FrameStartSize+64 {
			t.Errorf("%d members: %d bytes left for frames: %s", n, room, fmt.Sprint(dep, record))
		}
		if record > MaxRecord(n) {
			t.Errorf("%d members: a record of %d bytes, MaxRecord says %d", n, record, MaxRecord(n))
		}
	}
}
