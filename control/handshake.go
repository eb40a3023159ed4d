package control

import (
	"encoding/binary"
	"fmt"
	"io"
)

// The dialler opens with a hello and the listener answers. Both begin with a
// preamble that all versions share, little endian:
//
//	magic u32 | version u16 | size of the rest u16
//
// rest of the hello, version 1:   kind u8 | cluster u32 | from u64 | to u64 | stamp u64 | the stream's hello
// rest of the answer, version 1:  verdict u8 | cluster u32 | id u64
const (
	helloMagic  = 0x48684f43 // "COhH"
	answerMagic = 0x41684f43 // "COhA"
	version     = 1

	preambleSize = 8
	helloSize    = 1 + 4 + 8 + 8 + 8
	answerSize   = 1 + 4 + 8
)

var le = binary.LittleEndian

// kind is what a connection is for.
type kind uint8

const (
	peerKind kind = iota + 1
	streamKind
)

// hello is what a dialler says.
type hello struct {
	kind     kind
	cluster  uint32
	from, to uint64 // incarnations; to is 0 for a stream
	stamp    uint64 // of a peer connection; see key
	body     []byte // of a stream
}

// verdict is what a listener thinks of a hello.
type verdict uint8

// verdicts are the errors that stand for the verdicts on the wire.
var verdicts = [...]error{nil, ErrVersion, ErrCluster, ErrIncarnation, ErrKind, ErrSuperseded}

const (
	accepted verdict = iota
	wrongVersion
	wrongCluster
	wrongIncarnation
	wrongKind
	superseded
)

// answer is what a listener says.
type answer struct {
	verdict verdict
	cluster uint32
	id      uint64 // the listener's incarnation, 0 if it has none yet
}

func appendPreamble(b []byte, magic uint32, size int) []byte {
	b = le.AppendUint32(b, magic)
	b = le.AppendUint16(b, version)
	return le.AppendUint16(b, uint16(size))
}

func (h hello) append(b []byte) []byte {
	b = appendPreamble(b, helloMagic, helloSize+len(h.body))
	b = append(b, byte(h.kind))
	b = le.AppendUint32(b, h.cluster)
	b = le.AppendUint64(b, h.from)
	b = le.AppendUint64(b, h.to)
	b = le.AppendUint64(b, h.stamp)
	return append(b, h.body...)
}

func (a answer) append(b []byte) []byte {
	b = appendPreamble(b, answerMagic, answerSize)
	b = append(b, byte(a.verdict))
	b = le.AppendUint32(b, a.cluster)
	return le.AppendUint64(b, a.id)
}

// readRest reads a preamble and what belongs to it. The rest is read whole also
// of another version, so that closing does not reset the connection under the
// answer.
func readRest(r io.Reader, magic uint32, limit int) ([]byte, error) {
	var p [preambleSize]byte
	if _, err := io.ReadFull(r, p[:]); err != nil {
		return nil, err
	}
	if got := le.Uint32(p[:]); got != magic {
		return nil, fmt.Errorf("%w: magic %#x, want %#x", ErrHandshake, got, magic)
	}
	size := int(le.Uint16(p[6:]))
	if size > limit {
		return nil, fmt.Errorf("%w: %d bytes, want at most %d", ErrHandshake, size, limit)
	}
	rest := make([]byte, size)
	if _, err := io.ReadFull(r, rest); err != nil {
		return nil, err
	}
	if got := le.Uint16(p[4:]); got != version {
		return nil, fmt.Errorf("%w: %d, want %d", ErrVersion, got, version)
	}
	return rest, nil
}

// readHello reads a hello. Errors wrap ErrHandshake, ErrVersion or those of r.
func readHello(r io.Reader) (hello, error) {
	b, err := readRest(r, helloMagic, helloSize+MaxHello)
	if err != nil {
		return hello{}, err
	}
	if len(b) < helloSize {
		return hello{}, fmt.Errorf("%w: hello of %d bytes, want at least %d", ErrHandshake, len(b), helloSize)
	}
	h := hello{
		kind: kind(b[0]), cluster: le.Uint32(b[1:]), from: le.Uint64(b[5:]), to: le.Uint64(b[13:]),
		stamp: le.Uint64(b[21:]), body: b[helloSize:],
	}
	if h.kind == peerKind && (h.from == 0 || h.from == h.to || h.stamp > maxStamp || len(h.body) != 0) {
		return hello{}, fmt.Errorf("%w: peer hello from %d to %d, stamp %d, %d bytes more", ErrHandshake,
			h.from, h.to, h.stamp, len(h.body))
	}
	return h, nil
}

// readAnswer reads an answer. Errors wrap ErrHandshake, ErrVersion or those of r.
func readAnswer(r io.Reader) (answer, error) {
	b, err := readRest(r, answerMagic, answerSize)
	if err != nil {
		return answer{}, err
	}
	if len(b) != answerSize || int(b[0]) >= len(verdicts) {
		return answer{}, fmt.Errorf("%w: answer % x", ErrHandshake, b)
	}
	return answer{verdict: verdict(b[0]), cluster: le.Uint32(b[1:]), id: le.Uint64(b[5:])}, nil
}

// err returns nil if the answer is a yes, and otherwise an error that says what
// the listener is that the hello did not expect.
func (a answer) err() error {
	switch err := verdicts[a.verdict]; a.verdict {
	case accepted:
		return nil
	case wrongCluster:
		return fmt.Errorf("%w: %#x listens there", err, a.cluster)
	case wrongIncarnation:
		return fmt.Errorf("%w: %d listens there", err, a.id)
	default:
		return err
	}
}
