package core

import (
	"testing"

	"cohort/flowctl"
	"cohort/wire"
)

// held is a lab whose packets wait, per member, until it reads them.
type held struct {
	*lab
	in    []*inlet
	queue [][]waiting
}

type waiting struct {
	from   int
	bytes  []byte
	charge int // of the kernel buffer of who has not read it
}

func newHeld(t *testing.T, n, segment, buffer int) *held {
	h := &held{lab: newLab(t, n, segment), queue: make([][]waiting, n)}
	v := testView(n, segment)
	for i := range v.Members {
		v.Members[i].RecvBuffer = uint32(buffer)
	}
	c := &counter{}
	for i := range h.ms {
		var err error
		if h.ms[i], err = New(0, Config{}, v, i, h.ps[i]); err != nil {
			t.Fatal(err)
		}
		h.sink[i] = c
	}
	h.in = h.inlets()
	return h
}

// flush ends a turn of member i, whose packets come to all others' buffers.
func (h *held) flush(i int) {
	h.ms[i].Flush(h.now)
	for _, o := range h.ms[i].Output() {
		b, leads := append([]byte(nil), o.Buf...), true
		for len(b) > 0 {
			k := min(o.Segment, len(b))
			for j := range h.ms {
				if j != i && (o.To == Multicast || o.To == j) {
					h.queue[j] = append(h.queue[j], waiting{i, b[:k], flowctl.Charge(k, leads)})
				}
			}
			b, leads = b[k:], false
		}
	}
	h.ms[i].Recycle()
	h.ms[i].Deliver(h.sink[i], 1<<30)
}

// read has member i read what there is.
func (h *held) read(i int) {
	for _, w := range h.queue[i] {
		h.in[i].receive(h.now, w.bytes)
	}
	h.queue[i] = nil
}

// buffered returns what data member i has not read takes of its buffer.
func (h *held) buffered(i int) (sum int) {
	for _, w := range h.queue[i] {
		if p, err := wire.Parse(w.bytes); err == nil && p.Kind == wire.Data {
			sum += w.charge
		}
	}
	return sum
}

// all has the first k members read and answer, so many times.
func (h *held) all(k, turns int) {
	for range turns {
		h.now += 20_000
		for i := range k {
			h.read(i)
			h.flush(i)
		}
	}
}

// pour has member i send until its window is closed.
func (h *held) pour(i, size int) {
	payload := make([]byte, size)
	for done := true; done; {
		_, done = h.ms[i].Submit(h.now, Message{Size: size}, payload)
	}
	h.flush(i)
}

// TestWindowsOfThoseWhoBeginFit: a member floods alone when the others begin. One of them reads of
// all that, and then no more. The flood does not know yet, and fills its window; then all know, and
// fill theirs: who has stopped reading has room for what they send.
func TestWindowsOfThoseWhoBeginFit(t *testing.T) {
	for _, n := range []int{2, 3, 4, 8, 16} {
		for _, buffer := range []int{1 << 20, 8 << 20} {
			for _, segment := range []int{1472, maxTrainBytes} {
				for _, size := range []int{64, 1000, 60_000} {
					h := newHeld(t, n, segment, buffer)
					h.all(n, 600) // 12 ms: none counts as sending
					for range 40 {
						fill(h.now, h.ms[0], 1, 1000)
						h.all(n, 1)
					}
					h.all(n, 100) // what that one has sent has arrived; it does not rest yet
					last := n - 1
					for i := 1; i < last; i++ {
						fill(h.now, h.ms[i], 1, 64)
						h.flush(i)
					}
					h.read(last)
					h.now += flowctl.AckDelay
					h.flush(last)
					for i := range last {
						h.pour(i, size)
					}
					for range 20 {
						h.all(last, 10)
						for i := range last {
							h.pour(i, size)
						}
					}
					if got := h.buffered(last); got > buffer/5*4+4*n*flowctl.Charge(64, true) {
						t.Errorf("%d members, packets of %d bytes: of a buffer of %d are taken %d, %d %%, want 80 at the most",
							n, segment, buffer, got, 100*got/buffer)
					}
				}
			}
		}
	}
}
