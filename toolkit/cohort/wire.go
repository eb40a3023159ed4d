package cohort

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// key names a request: the session of who makes it, a random number, and which of the
// session's requests it is, from 1.
type key struct{ session, num uint64 }

// score is how much the member is to be preferred to others for the request.
func (k key) score(member uint64) uint64 {
	var b [24]byte
	le.PutUint64(b[:], k.session)
	le.PutUint64(b[8:], k.num)
	le.PutUint64(b[16:], member)
	return xxhash.Sum64(b[:])
}

var le = binary.LittleEndian

const (
	tagRequest = 1
	tagAnswer  = 2

	keySize    = 16
	askHead    = 1 + keySize + 8 + 2 // and 8 bytes for each that is finished
	answerHead = 1 + keySize + 1

	maxFinished = 64 // in one request: it must not grow without bound
)

// request asks for a function call.
type request struct {
	key
	view     uint64   // number of the view that its sender was in
	finished []uint64 // requests of the same session whose answers nobody needs any more
	payload  []byte
}

func (r request) append(b []byte) []byte {
	b = append(b, tagRequest)
	b = r.key.append(b)
	b = le.AppendUint64(b, r.view)
	b = le.AppendUint16(b, uint16(len(r.finished)))
	for _, k := range r.finished {
		b = le.AppendUint64(b, k)
	}
	return append(b, r.payload...)
}

// answer is what the function returned.
type answer struct {
	key
	failed  bool // payload is an error's text
	payload []byte
}

func (a answer) append(b []byte) []byte {
	b = append(b, tagAnswer)
	b = a.key.append(b)
	failed := byte(0)
	if a.failed {
		failed = 1
	}
	return append(append(b, failed), a.payload...)
}

func (k key) append(b []byte) []byte {
	return le.AppendUint64(le.AppendUint64(b, k.session), k.num)
}

func parseKey(b []byte) key { return key{le.Uint64(b), le.Uint64(b[8:])} }

// parseRequest borrows b; false if it is none.
func parseRequest(b []byte) (r request, ok bool) {
	if len(b) < askHead || b[0] != tagRequest {
		return r, false
	}
	count := int(le.Uint16(b[askHead-2:]))
	if count > maxFinished || len(b) < askHead+8*count {
		return r, false
	}
	r.key, r.view = parseKey(b[1:]), le.Uint64(b[1+keySize:])
	for i := range count {
		r.finished = append(r.finished, le.Uint64(b[askHead+8*i:]))
	}
	r.payload = b[askHead+8*count:]
	return r, r.num > 0
}

// parseAnswer borrows b; false if it is none.
func parseAnswer(b []byte) (a answer, ok bool) {
	if len(b) < answerHead || b[0] != tagAnswer || b[answerHead-1] > 1 {
		return a, false
	}
	return answer{parseKey(b[1:]), b[answerHead-1] == 1, b[answerHead:]}, true
}
