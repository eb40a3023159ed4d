package membership

import (
	"encoding/binary"
	"net/netip"

	"cohort/wire"
)

var le = binary.LittleEndian

func (m Member) append(b []byte) []byte {
	b = le.AppendUint64(b, m.ID)
	b = le.AppendUint64(b, uint64(m.Since))
	b = le.AppendUint64(b, m.Joined)
	b = le.AppendUint32(b, m.RecvBuffer)
	b = le.AppendUint16(b, m.Segment)
	b = appendAddr(b, m.Addr)
	b = appendAddr(b, m.Control)
	return appendText(b, m.Name, MaxName)
}

func appendAddr(b []byte, a netip.AddrPort) []byte {
	ip := a.Addr().AsSlice()
	b = le.AppendUint16(b, a.Port())
	return append(append(b, byte(len(ip))), ip...)
}

func appendText(b []byte, s string, most int) []byte {
	s = s[:min(len(s), most)]
	return append(append(b, byte(len(s))), s...)
}

func (v View) append(b []byte) []byte {
	b = le.AppendUint64(b, v.Ring)
	b = le.AppendUint64(b, uint64(v.Founded))
	b = le.AppendUint64(b, v.Num)
	b = append(b, byte(len(v.Members)))
	for _, m := range v.Members {
		b = m.append(b)
	}
	return b
}

func appendVector(b []byte, v []uint64) []byte {
	b = append(b, byte(len(v)))
	for _, k := range v {
		b = le.AppendUint64(b, k)
	}
	return b
}

// reader takes fields off b; bad is set where b was too short or a field cannot be.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if len(r.b) < n {
		r.b, r.bad = nil, true
		return make([]byte, min(n, 256))
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) u8() uint8   { return r.take(1)[0] }
func (r *reader) u16() uint16 { return le.Uint16(r.take(2)) }
func (r *reader) u32() uint32 { return le.Uint32(r.take(4)) }
func (r *reader) u64() uint64 { return le.Uint64(r.take(8)) }

func (r *reader) text() string { return string(r.take(int(r.u8()))) }

func (r *reader) addr() netip.AddrPort {
	port := r.u16()
	addr, ok := netip.AddrFromSlice(r.take(int(r.u8())))
	r.bad = r.bad || !ok
	return netip.AddrPortFrom(addr, port)
}

func (r *reader) member() Member {
	m := Member{ID: r.u64(), Since: int64(r.u64()), Joined: r.u64(), RecvBuffer: r.u32(), Segment: r.u16()}
	m.Addr, m.Control = r.addr(), r.addr()
	return r.named(m)
}

func (r *reader) named(m Member) Member {
	m.Name = r.text()
	if len(m.Name) > MaxName || int(m.Segment) < wire.MinSegment(1) {
		r.bad = true
	}
	return m
}

func (r *reader) view() View {
	v := View{Ring: r.u64(), Founded: int64(r.u64()), Num: r.u64()}
	for range r.count() {
		v.Members = append(v.Members, r.member())
	}
	return v
}

// count reads the length of a list with an entry per member.
func (r *reader) count() int {
	n := int(r.u8())
	if n > MaxMembers || r.bad {
		r.bad = true
		return 0
	}
	return n
}

func (r *reader) vector() []uint64 {
	n := r.count()
	if n == 0 {
		return nil
	}
	v := make([]uint64, n)
	for i := range v {
		v[i] = r.u64()
	}
	return v
}
