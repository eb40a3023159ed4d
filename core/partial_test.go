package core

import (
	"runtime"
	"testing"

	"cohort/order"
)

// TestLargestMessagesReuseMemory: a flood of messages larger than what each stream keeps has
// no memory made for each.
func TestLargestMessagesReuseMemory(t *testing.T) {
	l := newLab(t, 2, 1472)
	c := &counter{}
	l.sink[0], l.sink[1] = c, c
	payload := make([]byte, 2*keepBuffer)
	l.send(0, order.FIFO, payload)
	l.run(2)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const more = 4
	for range more {
		l.send(0, order.FIFO, payload)
		l.run(2)
	}
	runtime.ReadMemStats(&after)
	if c.n != 2*(1+more) {
		t.Fatalf("%d deliveries, want %d", c.n, 2*(1+more))
	}
	if made := (after.TotalAlloc - before.TotalAlloc) / more; made > keepBuffer/4 {
		t.Errorf("%d bytes of memory were made for each message of %d", made, len(payload))
	}
}

// TestMemoryComesWithFragments, not with what the first one claims, and no more than twice
// as much as came.
func TestMemoryComesWithFragments(t *testing.T) {
	var p partial
	var spare []byte
	p.begin(MaxMessage, &spare)
	fragment := make([]byte, 1400)
	for range MaxMessage / len(fragment) {
		p.add(fragment)
		if most := max(leastBuffer, 2*len(p.buf)); cap(p.buf) > most {
			t.Fatalf("%d bytes of memory for %d that came, want at most %d", cap(p.buf), len(p.buf), most)
		}
	}
	p.add(fragment[:MaxMessage%len(fragment)])
	if len(p.buf) != MaxMessage || cap(p.buf) != MaxMessage {
		t.Errorf("%d bytes in %d, want %d", len(p.buf), cap(p.buf), MaxMessage)
	}
	p.end(false, &spare)
	if p.active || p.buf != nil || cap(spare) != MaxMessage {
		t.Error("the largest buffer is not spared for the next message")
	}
	if p.begin(MaxMessage, &spare); cap(p.buf) != MaxMessage || spare != nil {
		t.Error("the next message has not got it")
	}
	p.end(true, &spare)
	if p.buf != nil || spare != nil {
		t.Error("memory that was kept by who got the message is used again")
	}
}
