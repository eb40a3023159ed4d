package core

import (
	"testing"

	"cohort/wire"
)

// TestRowAfterTheRecords: a member's row that says what it had when it made records comes after
// those, on another way. It does not say it again, so it is remembered what it has made.
func TestRowAfterTheRecords(t *testing.T) {
	m, in := lone(t, 3, 0)
	none := make([]uint64, 3)
	record := func(from int, seq, t uint64) {
		h := wire.Header{Kind: wire.Data, View: m.viewKey, Sender: uint8(from), Seq: seq, Flags: wire.HasRecord}
		in.receive(0, sealed(h, wire.AppendRecord(nil, t, from, none, none)))
	}
	row := func(from int, no, ord uint64) {
		h := wire.Header{Kind: wire.RowOnly, View: m.viewKey, Sender: uint8(from), Flags: wire.HasRow}
		in.receive(0, sealed(h, wire.AppendRow(nil, no, ord, false, none)))
	}
	record(1, 1, 1)
	if got := m.rows.Ord(1); got != 1 {
		t.Errorf("who has made the first record can carry out %d", got)
	}
	record(2, 1, 2)
	record(1, 2, 3)
	record(1, 3, 4)
	if got := m.rows.Ord(1); got != 1 {
		t.Errorf("who has not told of record 2 can carry out %d, want 1", got)
	}
	row(1, 1, 2)
	if got := m.rows.Ord(1); got != 4 {
		t.Errorf("who had record 2 and made 3 and 4 can carry out %d", got)
	}
	if got := m.rows.Ord(2); got != 0 {
		t.Errorf("member 2 has told nothing of record 1, and can carry out %d", got)
	}
}
