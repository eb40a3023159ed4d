package session

import (
	"encoding/binary"
	"errors"

	"cohort/core"
)

// kind is the first byte of every message of the group.
type kind uint8

const (
	own      kind = iota + 1 // a member's own message: body
	request                  // a client's message: client, seq, lag, body
	question                 // a client's message that is to be answered: the same
	answer                   // to the gateway to: client, seq, index of this member's answers to it, body
	nothing                  // to the gateway to: client, seq: this member has no answer, and never will
	open                     // client, epoch, token, known
	here                     // to, token
	fence                    // nothing: what comes after is after this member's past
	marker                   // token
	closing                  // token, clients
	closed                   // token, clients
	alive                    // clients
	ready                    // nothing: this member is up to date
	kinds
)

// Own is the byte before each message of a member's own.
const Own = byte(own)

// MaxWindow is how many messages of a client, counted from the oldest that is not
// done with, may be on their way.
const MaxWindow = 8192

// MaxEnvelope is what an envelope may add to a payload, bytes.
const MaxEnvelope = 1 + 8 + 2*binary.MaxVarintLen64

// MaxPayload is the largest message or answer, bytes: what the engine takes, less what
// is put around it.
const MaxPayload = core.MaxMessage - 1<<10

// idsPerLetter bounds the clients of one message.
const idsPerLetter = 1024

// ErrMalformed is the error of bytes that are no message of this protocol.
var ErrMalformed = errors.New("malformed")

// letter is a message of the group.
type letter struct {
	kind    kind
	to      uint64
	client  uint64
	seq     uint64 // or epoch of open
	lag     uint64 // seq less the oldest that the client is not done with; or an answer's index
	token   uint64
	known   bool // the client has been let in before
	clients []uint64
	body    []byte // borrowed
}

// AppendEnvelope appends a client's message in its envelope. base is the oldest number
// that the client is not done with.
func AppendEnvelope(b []byte, asked bool, client, seq, base uint64, body []byte) []byte {
	l := letter{kind: request, client: client, seq: seq, lag: seq - base, body: body}
	if asked {
		l.kind = question
	}
	return l.append(b)
}

// append encodes the letter.
func (l letter) append(b []byte) []byte {
	b = append(b, byte(l.kind))
	switch l.kind {
	case request, question:
		b = le.AppendUint64(b, l.client)
		b = binary.AppendUvarint(b, l.seq)
		b = binary.AppendUvarint(b, l.lag)
	case answer:
		b = le.AppendUint64(le.AppendUint64(b, l.to), l.client)
		b = binary.AppendUvarint(b, l.seq)
		b = binary.AppendUvarint(b, l.lag)
	case nothing:
		b = le.AppendUint64(le.AppendUint64(b, l.to), l.client)
		b = binary.AppendUvarint(b, l.seq)
	case open:
		b = le.AppendUint64(b, l.client)
		b = binary.AppendUvarint(b, l.seq)
		b = binary.AppendUvarint(b, l.token)
		b = append(b, flag(l.known))
	case here:
		b = le.AppendUint64(b, l.to)
		b = binary.AppendUvarint(b, l.token)
	case marker:
		b = binary.AppendUvarint(b, l.token)
	case closing, closed, alive:
		b = binary.AppendUvarint(b, l.token)
		for _, id := range l.clients {
			b = le.AppendUint64(b, id)
		}
	}
	return append(b, l.body...)
}

// parseLetter decodes a message; false if it is none.
func parseLetter(b []byte) (l letter, ok bool) {
	c := cursor{b: b}
	l.kind = kind(c.u8())
	switch l.kind {
	case own:
	case request, question:
		l.client, l.seq, l.lag = c.u64(), c.uvarint(), c.uvarint()
		c.check(l.seq > 0 && l.lag < l.seq && l.lag < MaxWindow)
	case answer:
		l.to, l.client, l.seq, l.lag = c.u64(), c.u64(), c.uvarint(), c.uvarint()
	case nothing:
		l.to, l.client, l.seq = c.u64(), c.u64(), c.uvarint()
	case open:
		l.client, l.seq, l.token = c.u64(), c.uvarint(), c.uvarint()
		l.known = c.bool()
	case here:
		l.to, l.token = c.u64(), c.uvarint()
	case marker:
		l.token = c.uvarint()
	case closing, closed, alive:
		l.token = c.uvarint()
		l.clients = c.ids()
	case fence, ready:
	default:
		return l, false
	}
	l.body = c.b
	return l, !c.bad
}

var le = binary.LittleEndian

func flag(yes bool) byte {
	if yes {
		return 1
	}
	return 0
}

// cursor reads bytes that may be anything.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) check(ok bool) { c.bad = c.bad || !ok }

// take returns the next n bytes, or none if there are fewer.
func (c *cursor) take(n uint64) []byte {
	if c.bad || n > uint64(len(c.b)) {
		c.bad = true
		return nil
	}
	b := c.b[:n]
	c.b = c.b[n:]
	return b
}

func (c *cursor) u8() byte {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) u64() uint64 {
	if b := c.take(8); b != nil {
		return le.Uint64(b)
	}
	return 0
}

func (c *cursor) bool() bool {
	b := c.u8()
	c.check(b <= 1)
	return b == 1
}

func (c *cursor) uvarint() uint64 {
	v, n := binary.Uvarint(c.b)
	if c.bad || n <= 0 {
		c.bad = true
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) varint() int64 {
	v, n := binary.Varint(c.b)
	if c.bad || n <= 0 {
		c.bad = true
		return 0
	}
	c.b = c.b[n:]
	return v
}

// ids takes all that is left.
func (c *cursor) ids() (list []uint64) {
	c.check(len(c.b)%8 == 0 && len(c.b) <= 8*idsPerLetter)
	for !c.bad && len(c.b) > 0 {
		list = append(list, c.u64())
	}
	return list
}
