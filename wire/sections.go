package wire

import "encoding/binary"

// Deltas is a checked list of (rank, increase) pairs: a vector as the changes
// since one that the receiver knows. It borrows the packet.
type Deltas []byte

// maxDelta bounds one increase: far more packets than any gap, far fewer than
// would overflow a counter.
const maxDelta = 1 << 40

// AppendDeltas appends the changes from old to now, which must not be smaller
// in any entry: a count, then for each changed entry its rank and a varint.
func AppendDeltas(b []byte, old, now []uint64) []byte {
	at := len(b)
	b = append(b, 0)
	for k := range now {
		if now[k] > old[k] {
			b = append(b, byte(k))
			b = binary.AppendUvarint(b, now[k]-old[k])
			b[at]++
		}
	}
	return b
}

// DeltasSize returns the bytes that AppendDeltas would append.
func DeltasSize(old, now []uint64) int {
	n := 1
	for k := range now {
		if d := now[k] - old[k]; now[k] > old[k] {
			n++
			for ; d >= 0x80; d >>= 7 {
				n++
			}
			n++
		}
	}
	return n
}

// Next takes the first pair off the list; ok is false at its end.
func (d *Deltas) Next() (rank int, by uint64, ok bool) {
	if len(*d) == 0 {
		return 0, 0, false
	}
	by, n := binary.Uvarint((*d)[1:])
	rank = int((*d)[0])
	*d = (*d)[1+n:]
	return rank, by, true
}

// AddTo adds the changes to v.
func (d Deltas) AddTo(v []uint64) {
	for {
		k, by, ok := d.Next()
		if !ok {
			return
		}
		v[k] += by
	}
}

// takeDeltas checks a list for a view of n members and splits it off b.
func takeDeltas(b []byte, n int) (d Deltas, rest []byte, err error) {
	if len(b) == 0 || int(b[0]) > n {
		return nil, nil, ErrSection
	}
	count, at, last := int(b[0]), 1, -1
	for range count {
		if at >= len(b) || int(b[at]) >= n || int(b[at]) <= last {
			return nil, nil, ErrSection
		}
		last = int(b[at])
		by, k := binary.Uvarint(b[at+1:])
		if k <= 0 || by == 0 || by > maxDelta {
			return nil, nil, ErrSection
		}
		at += 1 + k
	}
	return Deltas(b[1:at]), b[at:], nil
}

// Record is an ordering record: the T-th cut of the total order as the increase
// over the one before, and who may append the next.
type Record struct {
	T    uint64
	Next int
	Cut  Deltas
}

// recordFixed is the bytes of a record beside its deltas.
const recordFixed = 9

// AppendRecord appends record t, which raises the cut from old to now and
// passes the token to next.
func AppendRecord(b []byte, t uint64, next int, old, now []uint64) []byte {
	b = le.AppendUint64(b, t)
	b = append(b, byte(next))
	return AppendDeltas(b, old, now)
}

// RecordSize returns the bytes that AppendRecord would append.
func RecordSize(old, now []uint64) int { return recordFixed + DeltasSize(old, now) }

// MinSegment returns the smallest segment, in bytes, that a view of n members may
// have: the largest dep and record leave room for frames.
func MinSegment(n int) int { return Overhead + 1 + n*7 + MaxRecord(n) + 160 }

// MaxRecord bounds the bytes of a record in a view of n members.
func MaxRecord(n int) int { return recordFixed + 1 + n*7 }

// Row is a member's row: what it has, per sender. It borrows the packet.
type Row []byte

// rowFixed is the bytes of a row beside its vector.
const rowFixed = 17

// RowSize returns the bytes of a row in a view of n members.
func RowSize(n int) int { return rowFixed + 8*n }

// AppendRow appends a row: its number (rows of a member are numbered, so that an
// old one cannot undo a newer one's pause), ord, the pause flag, and rcv.
func AppendRow(b []byte, no, ord uint64, pause bool, rcv []uint64) []byte {
	b = le.AppendUint64(b, no)
	b = le.AppendUint64(b, ord)
	if pause {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	for _, r := range rcv {
		b = le.AppendUint64(b, r)
	}
	return b
}

// No is the row's number among its member's rows.
func (r Row) No() uint64 { return le.Uint64(r) }

// Ord is the last ordering record up to which the member holds all records and
// all that they order.
func (r Row) Ord() uint64 { return le.Uint64(r[8:]) }

// Pause tells that the member cannot take more for now.
func (r Row) Pause() bool { return r[16]&1 != 0 }

// Rcv is the highest packet of sender s up to which the member has all.
func (r Row) Rcv(s int) uint64 { return le.Uint64(r[rowFixed+8*s:]) }

// HasSections tells whether there is anything for Sections to find.
func (h *Header) HasSections() bool { return h.Flags&(HasDep|HasRecord|HasRow) != 0 }

// Sections are the optional parts of a packet; absent ones are nil or zero.
type Sections struct {
	Dep    Deltas
	Record Record
	Row    Row
}

// Sections checks and returns the sections of packet b, whose header is h, in a
// view of n members. The result borrows b.
func (h *Header) Sections(b []byte, n int) (s Sections, err error) {
	b = b[HeaderSize+h.Body : len(b)-SumSize]
	if h.Flags&HasDep != 0 {
		if s.Dep, b, err = takeDeltas(b, n); err != nil {
			return Sections{}, err
		}
	}
	if h.Flags&HasRecord != 0 {
		if len(b) < recordFixed {
			return Sections{}, ErrSection
		}
		s.Record.T, s.Record.Next = le.Uint64(b), int(b[8])
		if s.Record.T == 0 || s.Record.Next >= n {
			return Sections{}, ErrSection
		}
		if s.Record.Cut, b, err = takeDeltas(b[recordFixed:], n); err != nil {
			return Sections{}, err
		}
	}
	if h.Flags&HasRow != 0 {
		if len(b) < RowSize(n) {
			return Sections{}, ErrSection
		}
		s.Row = Row(b[:RowSize(n)])
	}
	return s, nil
}
