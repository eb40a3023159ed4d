package groups

import (
	"errors"
	"fmt"

	"cohort/core"
	"cohort/membership"
	"cohort/order"
)

// This file is how one who joins a group is brought up to its state: what comes for
// the group from the moment that the join is packed is kept in records; a donor's
// state comes with a label; and what the label does not cover is delivered from the
// records, once the state has been restored.

// Label says where in the order a group's state was taken: of all members' streams
// in one view of the ring, how much it contains.
type Label struct {
	Ring  uint64   // key of the ring's view
	Num   uint64   // of the group's view
	Fresh bool     // not a state's: the group begins anew with that view
	Next  []uint64 // by rank in the ring: the state contains all packets before this one,
	Pos   []uint32 // and of this one what lies before; see core.Machine.Position

	// How much is delivered does not tell in which order: that depends on the records
	// that are known and, while the view is being finished, on what it is followed by.
	Records uint64 // of the view's total order that were known
	After   uint64 // key of the ring's next view, for which this one was being finished; 0: it was not
}

// LabelAt returns the label of what a machine has delivered; after is the key of the
// view for which it is finishing its own, or has; 0: it is not.
func LabelAt(m *core.Machine, after uint64) Label {
	v := m.View()
	l := Label{Ring: v.Key(), Records: m.Known(), After: after}
	for r := range v.Members {
		l.Add(m.Position(r))
	}
	return l
}

// Add notes how much of the stream of the next rank has been delivered.
func (l *Label) Add(next uint64, pos int) {
	l.Next, l.Pos = append(l.Next, next), append(l.Pos, uint32(pos))
}

const (
	labelHead  = 32
	labelEntry = 12
)

// MaxLabel bounds a label, bytes.
const MaxLabel = labelHead + labelEntry*membership.MaxMembers

// Append appends the bytes of a state's label to b.
func (l Label) Append(b []byte) []byte {
	b = le.AppendUint64(b, l.Ring)
	b = le.AppendUint64(b, l.Num)
	b = le.AppendUint64(b, l.Records)
	b = le.AppendUint64(b, l.After)
	for i, next := range l.Next {
		b = le.AppendUint64(b, next)
		b = le.AppendUint32(b, l.Pos[i])
	}
	return b
}

// ParseLabel reads a label.
func ParseLabel(b []byte) (l Label, err error) {
	if len(b) < labelHead || (len(b)-labelHead)%labelEntry != 0 || len(b) > MaxLabel {
		return Label{}, fmt.Errorf("groups: a label of %d bytes", len(b))
	}
	l.Ring, l.Num, l.Records, l.After = le.Uint64(b), le.Uint64(b[8:]), le.Uint64(b[16:]), le.Uint64(b[24:])
	for b = b[labelHead:]; len(b) > 0; b = b[labelEntry:] {
		l.Add(le.Uint64(b), int(le.Uint32(b[8:])))
	}
	return l, nil
}

// covers tells whether everything that o contains of the ring's view is in l too, and
// in the same order.
func (l *Label) covers(o *Label) bool {
	if l.Records < o.Records || o.After != 0 && o.After != l.After {
		return false
	}
	for r, next := range o.Next {
		if r >= len(l.Next) || l.Next[r] < next || l.Next[r] == next && l.Pos[r] < o.Pos[r] {
			return false
		}
	}
	return true
}

// has tells whether the state contains a message of the member with this rank.
func (l *Label) has(sender int, packet uint64, pos int) bool {
	if sender >= len(l.Next) {
		return false
	}
	return packet < l.Next[sender] || packet == l.Next[sender] && uint32(pos) < l.Pos[sender]
}

// Mark tells what a record is.
type Mark uint8

// Marks.
const (
	Message Mark = iota
	View         // a view of the group
	Ring         // the ring's next view
	Offer        // a place to take a snapshot for another who joins
)

// Record is one of the things that are kept, in their order.
type Record struct {
	Mark Mark
	At   uint64 // of a Message, the number of the packet that ended it; a View's Num; the Ring view's key; else its keeper's own

	// Of a Message:
	Kind    uint8
	Level   order.Level
	Pos     int    // where in that packet
	Rank    int    // of its sender in the ring
	Sender  uint64 // its ID
	Payload []byte
}

// Words and Append return the record's bytes, for ParseRecord.
func (r Record) Words() (a, b uint64) {
	return uint64(r.Mark) | uint64(r.Kind)<<8 | uint64(r.Level)<<16 | uint64(r.Pos)<<32, r.At
}

const recordHead = 9

// Append appends what is not in Words to b.
func (r Record) Append(b []byte) []byte {
	if r.Mark != Message {
		return b
	}
	b = append(le.AppendUint64(b, r.Sender), byte(r.Rank))
	return append(b, r.Payload...)
}

// ErrRecord is returned for what is no record.
var ErrRecord = errors.New("groups: malformed record")

// ParseRecord reads a record, of which the Payload is borrowed.
func ParseRecord(a, b uint64, p []byte) (Record, error) {
	r := Record{Mark: Mark(a), At: b, Kind: uint8(a >> 8), Level: order.Level(a >> 16), Pos: int(a >> 32)}
	if r.Mark == Message {
		if len(p) < recordHead {
			return Record{}, ErrRecord
		}
		r.Sender, r.Rank, r.Payload = le.Uint64(p), int(p[8]), p[recordHead:]
	}
	if r.Mark > Offer {
		return Record{}, ErrRecord
	}
	return r, nil
}

// Filter tells of one record after the other, from the first, whether the state
// contains it already.
type Filter struct {
	ring   uint64 // key of the ring's view that the next record belongs to
	label  Label
	ends   []Label // of the ring's views that have ended meanwhile: all that there is of them
	passed bool    // the records are read past the label's view of the ring
}

// NewFilter returns the filter of records that begin in the ring's view with this key.
func NewFilter(ring uint64) Filter { return Filter{ring: ring} }

// Restored notes the label of the state. It comes before the first Skips.
func (f *Filter) Restored(l Label) { f.label = l }

// Num returns the number of the group's view that the restored state belongs to.
func (f *Filter) Num() uint64 { return f.label.Num }

// Ended notes all that there is of a view of the ring, which has ended.
func (f *Filter) Ended(all Label) { f.ends = append(f.ends, all) }

// Binds tells whether all that the restored state contains is delivered, or to be
// delivered, at every member that goes on; now is what this one has delivered. A donor
// may have delivered what no other survivor has, or in another order, and failed then or
// gone its own way: what it has given is worth nothing. That is known when this member has delivered as much, or the ring's
// view has ended; until then, known is false.
func (f *Filter) Binds(now Label) (yes, known bool) {
	if f.label.Fresh {
		return true, true
	}
	for i := range f.ends {
		if f.ends[i].Ring == f.label.Ring {
			return f.ends[i].covers(&f.label), true
		}
	}
	yes = now.Ring == f.label.Ring && now.covers(&f.label)
	return yes, yes || now.Ring != f.label.Ring
}

// Cover adds to the label of this member's own state what that contains and this
// member has not delivered yet.
func (f *Filter) Cover(l *Label) {
	if f.passed || f.label.Ring != l.Ring {
		return
	}
	l.Records = max(l.Records, f.label.Records)
	if f.label.After != 0 { // it is given to nobody unless that comes next here, too
		l.After = f.label.After
	}
	for r, next := range f.label.Next {
		if pos := f.label.Pos[r]; next > l.Next[r] || next == l.Next[r] && pos > l.Pos[r] {
			l.Next[r], l.Pos[r] = next, pos
		}
	}
}

// Skips tells whether the state contains a record already, or it is only a mark.
func (f *Filter) Skips(r *Record) bool {
	switch {
	case f.passed:
		return r.Mark == Ring
	case r.Mark == Offer:
		return false
	case f.label.Fresh:
		f.passed = r.Mark == View && r.At == f.label.Num
		return true
	case r.Mark == View:
		return r.At <= f.label.Num
	case r.Mark == Ring:
		f.passed = f.ring == f.label.Ring
		f.ring = r.At
		return true
	case f.ring != f.label.Ring:
		return true
	}
	return f.label.has(r.Rank, r.At, r.Pos)
}
