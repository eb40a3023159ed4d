package pubsub

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"slices"

	"cohort/engine"
)

// The state of a group: the epoch (num, id), the senders (a count; of each its ID,
// count, and how many had been forgotten when it joined), the IDs of those that have gone (a count before them), how many are forgotten, and
// the messages (a count; of each its sender, number, when its sender was forgotten, level in
// 1 byte, the topic's and the payload's length, topic, payload). Integers are of 8 bytes, little-endian, but for lengths: 4.
var le = binary.LittleEndian

func (h *history) snapshot() []byte {
	b := make([]byte, 0, 64+24*len(h.senders)+h.bytes)
	b = le.AppendUint64(le.AppendUint64(b, h.epoch.num), h.epoch.id)
	b = le.AppendUint64(b, uint64(len(h.senders)))
	for _, id := range slices.Sorted(maps.Keys(h.senders)) {
		s := h.senders[id]
		b = le.AppendUint64(le.AppendUint64(le.AppendUint64(b, id), s.count), s.born)
	}
	b = le.AppendUint64(b, uint64(len(h.gone)))
	for _, id := range h.gone {
		b = le.AppendUint64(b, id)
	}
	b = le.AppendUint64(b, h.forgot)
	count := len(b)
	b = le.AppendUint64(b, 0)
	n := uint64(0)
	for e := h.ends.next; e != &h.ends; e = e.next {
		b = le.AppendUint64(le.AppendUint64(le.AppendUint64(b, e.from), e.num), e.forgot)
		b = append(b, byte(e.level))
		b = le.AppendUint32(le.AppendUint32(b, uint32(len(e.topic.name))), uint32(len(e.payload)))
		b = append(append(b, e.topic.name...), e.payload...)
		n++
	}
	le.PutUint64(b[count:], n)
	return b
}

// reader reads a state; after its first failure it gives zeros.
type reader struct {
	r    *bufio.Reader
	word [8]byte
	buf  bytes.Buffer
	err  error
}

func (r *reader) fixed(n int) uint64 {
	if r.err != nil {
		return 0
	}
	r.word = [8]byte{}
	_, r.err = io.ReadFull(r.r, r.word[:n])
	return le.Uint64(r.word[:])
}

// bytes returns the next n bytes, until the next call. It takes memory as they come.
func (r *reader) bytes(n uint64, most int) []byte {
	switch {
	case r.err != nil:
		return nil
	case n > uint64(most):
		r.err = fmt.Errorf("pubsub: a state with a text of %d bytes, want at most %d", n, most)
		return nil
	}
	r.buf.Reset()
	_, r.err = io.CopyN(&r.buf, r.r, int64(n))
	return r.buf.Bytes()
}

// readHistory reads what snapshot wrote, and keeps of it what l lets it.
func readHistory(from io.Reader, l limits) (*history, error) {
	h, r := newHistory(l), &reader{r: bufio.NewReader(from)}
	h.epoch = epoch{r.fixed(8), r.fixed(8)}
	for n := r.fixed(8); n > 0 && r.err == nil; n-- {
		s := h.sender(r.fixed(8))
		s.count, s.born = r.fixed(8), r.fixed(8)
	}
	for n := r.fixed(8); n > 0 && r.err == nil; n-- {
		h.leave(r.fixed(8))
	}
	h.forgot = r.fixed(8)
	for n := r.fixed(8); n > 0 && r.err == nil; n-- {
		r.message(h)
	}
	if r.err != nil {
		return nil, fmt.Errorf("pubsub: reading the state: %w", r.err)
	}
	return h, nil
}

func (r *reader) message(h *history) {
	from, num, forgot, level := r.fixed(8), r.fixed(8), r.fixed(8), engine.Level(r.fixed(1))
	topicSize, size := r.fixed(4), r.fixed(4)
	name := r.bytes(topicSize, MaxTopic)
	if r.err != nil {
		return
	}
	t := h.topic(name)
	if t == nil || !level.Valid() {
		r.err = fmt.Errorf("a message of topic %q and level %v", name, level)
		return
	}
	if payload := r.bytes(size, engine.MaxMessage); r.err == nil {
		h.keep(t, from, num, level, payload)
		h.ends.prev.forgot = forgot // of the entry; of nobody, if it was not kept
	}
}
