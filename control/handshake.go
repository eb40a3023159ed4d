package control

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
)

// The dialler opens with a hello and the listener answers, little endian:
//
//	hello:  magic u32 | version u8 | kind u8 | size of the rest u16
//	        cluster u32 | from u64 | to u64 | attempt u64 | body
//	answer: magic u32 | version u8 | verdict u8 | reserved u16
//	        id u64 | attempts u64
//
// The hello's first line is the same in all versions, and so is the answer's size.
const (
	magic   = 0x6c744343 // "CCtl"
	version = 3

	prefixSize = 8
	fixedSize  = 4 + 8 + 8 + 8
	answerSize = 8 + 8 + 8
)

var le = binary.LittleEndian

type kind uint8

const (
	kindPeer kind = iota + 1
	kindStream
)

// hello is what a dialler says.
type hello struct {
	kind     kind
	cluster  uint32
	from, to uint64 // identities; to is 0 for a stream
	attempt  uint64 // of a peer connection: the dialler's count of its dials
	body     []byte // of a stream
}

type verdict uint8

const (
	accepted verdict = iota
	wrongVersion
	wrongCluster
	wrongIdentity
	wrongKind
	stale
	verdicts // how many there are
)

// answer is what a listener says.
type answer struct {
	verdict  verdict
	id       uint64 // the listener's identity, 0 if it has none
	attempts uint64 // the listener's count of its dials: none of those is newer than this connection
}

func (h hello) encode() []byte {
	b := make([]byte, 0, prefixSize+fixedSize+len(h.body))
	b = le.AppendUint32(b, magic)
	b = append(b, version, byte(h.kind))
	b = le.AppendUint16(b, uint16(fixedSize+len(h.body)))
	b = le.AppendUint32(b, h.cluster)
	b = le.AppendUint64(b, h.from)
	b = le.AppendUint64(b, h.to)
	b = le.AppendUint64(b, h.attempt)
	return append(b, h.body...)
}

func (a answer) encode() []byte {
	b := make([]byte, 0, answerSize)
	b = le.AppendUint32(b, magic)
	b = append(b, version, byte(a.verdict), 0, 0)
	b = le.AppendUint64(b, a.id)
	return le.AppendUint64(b, a.attempts)
}

// readHello reads a hello. Errors wrap ErrProtocol, ErrVersion or those of r.
// One of another version is read to its end: closing a socket with unread bytes
// would reset it, and the answer might be lost.
func readHello(r io.Reader) (hello, error) {
	var p [prefixSize]byte
	if _, err := io.ReadFull(r, p[:]); err != nil {
		return hello{}, err
	}
	known, k, size := p[4] == version, kind(p[5]), int(le.Uint16(p[6:]))
	switch {
	case le.Uint32(p[:]) != magic:
		return hello{}, fmt.Errorf("%w: magic %#x, want %#x", ErrProtocol, le.Uint32(p[:]), magic)
	case size > fixedSize+MaxHello || known && size < fixedSize:
		return hello{}, fmt.Errorf("%w: hello of %d bytes, want %d to %d", ErrProtocol, size, fixedSize, fixedSize+MaxHello)
	case known && k != kindPeer && k != kindStream:
		return hello{}, fmt.Errorf("%w: kind %d, want %d or %d", ErrProtocol, k, kindPeer, kindStream)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(r, b); err != nil {
		return hello{}, err
	}
	if !known {
		return hello{}, fmt.Errorf("%w: %d, want %d", ErrVersion, p[4], version)
	}
	h := hello{kind: k, cluster: le.Uint32(b), from: le.Uint64(b[4:]), to: le.Uint64(b[12:]),
		attempt: le.Uint64(b[20:]), body: b[fixedSize:]}
	if k == kindPeer && (h.from == 0 || h.from == h.to || len(h.body) > 0) {
		return hello{}, fmt.Errorf("%w: peer hello from %d to %d with %d bytes more", ErrProtocol, h.from, h.to, len(h.body))
	}
	return h, nil
}

// readAnswer reads an answer. Errors wrap ErrProtocol, ErrVersion or those of r.
func readAnswer(r io.Reader) (answer, error) {
	var b [answerSize]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return answer{}, err
	}
	a := answer{verdict: verdict(b[5]), id: le.Uint64(b[8:]), attempts: le.Uint64(b[16:])}
	switch {
	case le.Uint32(b[:]) != magic:
		return answer{}, fmt.Errorf("%w: magic %#x, want %#x", ErrProtocol, le.Uint32(b[:]), magic)
	case b[4] != version:
		return answer{}, fmt.Errorf("%w: %d, want %d", ErrVersion, b[4], version)
	case a.verdict >= verdicts:
		return answer{}, fmt.Errorf("%w: verdict %d, want less than %d", ErrProtocol, a.verdict, verdicts)
	}
	return a, nil
}

// check returns nil if the answer of addr accepts the hello, and else why not.
func (a answer) check(h hello, addr netip.AddrPort) error {
	switch a.verdict {
	case wrongVersion:
		return fmt.Errorf("%v: %w than %d", addr, ErrVersion, version)
	case wrongCluster:
		return fmt.Errorf("%v: %w than %#x", addr, ErrCluster, h.cluster)
	case wrongKind:
		return fmt.Errorf("%v: %w: kind %d", addr, ErrKind, h.kind)
	case stale:
		return fmt.Errorf("%v: attempt %d: %w", addr, h.attempt, ErrStale)
	}
	if a.verdict == wrongIdentity || h.kind == kindPeer && a.id != h.to {
		return fmt.Errorf("%v: %w: %d listens there, want %d", addr, ErrIdentity, a.id, h.to)
	}
	return nil
}
