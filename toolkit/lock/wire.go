package lock

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
)

const maxBorn = 1 << 63 // leaves room to count

// MaxName bounds a lock's name, bytes.
const MaxName = 1024

// What is sent, little-endian:
//
//	request  tag, serial 8, weight 4, capacity 4, born 8, name
//	release  tag, serial 8, name
//
// A state is the number of the last token, 8 bytes, and then of each request in the order
// of the tokens: member 8, serial 8, token 8, weight 4, capacity 4, length of the name 2,
// name.
const (
	tagRequest = 1
	tagRelease = 2

	requestHead = 1 + 8 + 4 + 4 + 8
	releaseHead = 1 + 8
	stateHead   = 8
	entryHead   = 8 + 8 + 8 + 4 + 4 + 2
)

var le = binary.LittleEndian

func appendRequest(b []byte, serial, born uint64, c *claim) []byte {
	b = le.AppendUint64(append(b, tagRequest), serial)
	b = le.AppendUint32(le.AppendUint32(b, c.weight), c.capacity)
	return append(le.AppendUint64(b, born), c.name...)
}

func appendRelease(b []byte, serial uint64, name string) []byte {
	return append(le.AppendUint64(append(b, tagRelease), serial), name...)
}

// parseRequest takes a request from its sender's message; ok is false if it is none.
func parseRequest(b []byte) (r request, born uint64, ok bool) {
	if len(b) <= requestHead || len(b) > requestHead+MaxName || b[0] != tagRequest {
		return request{}, 0, false
	}
	r = request{serial: le.Uint64(b[1:]), weight: le.Uint32(b[9:]), capacity: le.Uint32(b[13:]), name: string(b[requestHead:])}
	born = le.Uint64(b[17:])
	return r, born, r.valid() && born < maxBorn
}

func parseRelease(b []byte) (serial uint64, name string, ok bool) {
	if len(b) <= releaseHead || len(b) > releaseHead+MaxName || b[0] != tagRelease {
		return 0, "", false
	}
	return le.Uint64(b[1:]), string(b[releaseHead:]), true
}

func (r *request) valid() bool { return r.weight > 0 && r.weight <= r.capacity }

// appendState writes the last token and all requests.
func appendState(b []byte, count uint64, list []*request) []byte {
	b = le.AppendUint64(b, count)
	for _, r := range list {
		b = le.AppendUint64(le.AppendUint64(le.AppendUint64(b, r.member), r.serial), r.token)
		b = le.AppendUint32(le.AppendUint32(b, r.weight), r.capacity)
		b = append(le.AppendUint16(b, uint16(len(r.name))), r.name...)
	}
	return b
}

func parseState(b []byte) (count uint64, list []*request, err error) {
	if len(b) < stateHead {
		return 0, nil, fmt.Errorf("lock: a state of %d bytes, want %d at least", len(b), stateHead)
	}
	count, b = le.Uint64(b), b[stateHead:]
	for last := uint64(0); len(b) > 0; {
		if len(b) < entryHead {
			return 0, nil, fmt.Errorf("lock: a state ends with %d bytes of a request, want %d at least", len(b), entryHead)
		}
		r := &request{member: le.Uint64(b), serial: le.Uint64(b[8:]), token: le.Uint64(b[16:]), weight: le.Uint32(b[24:]), capacity: le.Uint32(b[28:])}
		n := int(le.Uint16(b[32:]))
		b = b[entryHead:]
		if n == 0 || n > MaxName || n > len(b) || !r.valid() || r.token <= last || r.token > count {
			return 0, nil, fmt.Errorf("lock: a request of weight %d of %d, token %d after %d of %d, with a name of %d bytes, in a state with %d bytes left",
				r.weight, r.capacity, r.token, last, count, n, len(b))
		}
		r.name, b, last = string(b[:n]), b[n:], r.token
		list = append(list, r)
	}
	return count, list, nil
}

// Snapshot is of the requests that have not been released.
func (m *machine) Snapshot() (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(string(appendState(nil, m.count, m.all())))), nil
}

// all lists the requests in the order of the tokens.
func (m *machine) all() (list []*request) {
	for _, q := range m.queues {
		list = append(list, q...)
	}
	slices.SortFunc(list, func(a, b *request) int {
		if a.token < b.token {
			return -1
		}
		return 1
	})
	return list
}

// Restore takes what Snapshot gives.
func (m *machine) Restore(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	count, list, err := parseState(b)
	if err != nil {
		return err
	}
	m.count, m.queues = count, map[string][]*request{}
	for _, r := range list {
		m.enter(r)
	}
	return nil
}
