package session

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"cohort/membership"
)

// table is what every member knows of the group's clients. Which clients are in it
// changes in total order alone.
type table struct {
	limit   int // clients
	clients map[uint64]*client
	ready   map[uint64]bool // members that are up to date
	tick    uint64          // of this member's clock
	cached  int             // bytes of answers kept
	gaps    uint64          // messages dropped because one before them has not come: never, if all members are correct
}

// client is one client as every member knows it.
type client struct {
	applied uint64 // number of its last message applied
	epoch   uint64 // of its newest connection
	gateway uint64 // member that has it
	closer  uint64 // who is closing it; 0: nobody
	token   uint64 // of that closing

	// What follows is this member's own.
	seen    uint64 // tick at which it was heard of last
	base    uint64 // the oldest number that it is not done with
	answers map[uint64]*answers
}

func newTable(limit int) table {
	return table{limit: limit, clients: map[uint64]*client{}, ready: map[uint64]bool{}}
}

// verdict is what becomes of a client's message.
type verdict uint8

const (
	drop verdict = iota
	apply
	repeated
)

// admit decides on a client's message, and counts it if it is to be applied.
func (t *table) admit(l *letter) (*client, verdict) {
	c := t.clients[l.client]
	if c == nil {
		return nil, drop
	}
	c.seen = t.tick
	t.doneWith(c, l.seq-l.lag)
	switch {
	case l.seq <= c.applied:
		return c, repeated
	case l.seq > c.applied+1:
		t.gaps++
		return c, drop
	}
	c.applied++
	return c, apply
}

// doneWith forgets the answers before base.
func (t *table) doneWith(c *client, base uint64) {
	for ; c.base < base && c.base <= c.applied; c.base++ {
		t.forget(c, c.base)
	}
}

// open takes the news that a client is at a gateway. Code 0: it is let in.
func (t *table) open(from uint64, l *letter) Code {
	c := t.clients[l.client]
	switch {
	case c == nil && l.known:
		return Forgotten
	case c == nil && len(t.clients) >= t.limit:
		return Full
	case c == nil:
		c = &client{base: 1}
		t.clients[l.client] = c
	case l.seq <= c.epoch:
		return Superseded
	}
	c.epoch, c.gateway, c.closer, c.token, c.seen = l.seq, from, 0, 0, t.tick
	return 0
}

// closing marks clients that are to be forgotten unless they come back.
func (t *table) closing(from uint64, l *letter) {
	for _, id := range l.clients {
		if c := t.clients[id]; c != nil {
			c.closer, c.token = from, l.token
		}
	}
}

// closed forgets those that did not.
func (t *table) closed(from uint64, l *letter) {
	for _, id := range l.clients {
		if c := t.clients[id]; c != nil && c.closer == from && c.token == l.token {
			t.doneWith(c, c.applied+1)
			delete(t.clients, id)
		}
	}
}

// heard notes that clients are there though they send nothing.
func (t *table) heard(ids []uint64) {
	for _, id := range ids {
		if c := t.clients[id]; c != nil {
			c.seen = t.tick
		}
	}
}

const tableVersion = 1

// MaxTable is the most that Member.Snapshot makes of so many clients, bytes.
func MaxTable(clients int) int {
	const perClient = 3*8 + 3*binary.MaxVarintLen64
	return 1 + 2*binary.MaxVarintLen64 + membership.MaxMembers*8 + clients*perClient
}

// append encodes what all members know; the same at all members that have delivered
// the same.
func (t *table) append(b []byte) []byte {
	b = append(b, tableVersion)
	b = binary.AppendUvarint(b, uint64(len(t.ready)))
	for _, id := range slices.Sorted(maps.Keys(t.ready)) {
		b = le.AppendUint64(b, id)
	}
	b = binary.AppendUvarint(b, uint64(len(t.clients)))
	for _, id := range slices.Sorted(maps.Keys(t.clients)) {
		c := t.clients[id]
		b = le.AppendUint64(b, id)
		b = binary.AppendUvarint(b, c.applied)
		b = binary.AppendUvarint(b, c.epoch)
		b = le.AppendUint64(b, c.gateway)
		b = le.AppendUint64(b, c.closer)
		b = binary.AppendUvarint(b, c.token)
	}
	return b
}

// restore replaces the table by an encoded one.
func (t *table) restore(b []byte) error {
	c := cursor{b: b}
	if v := c.u8(); v != tableVersion {
		return fmt.Errorf("session: %w table: version %d, want %d", ErrMalformed, v, tableVersion)
	}
	next := newTable(t.limit)
	next.tick, next.gaps = t.tick, t.gaps
	for n := c.uvarint(); n > 0 && !c.bad; n-- {
		next.ready[c.u64()] = true
	}
	for n := c.uvarint(); n > 0 && !c.bad; n-- {
		id := c.u64()
		e := &client{applied: c.uvarint(), epoch: c.uvarint(), gateway: c.u64(), closer: c.u64(), token: c.uvarint(), seen: t.tick}
		e.base = e.applied + 1
		next.clients[id] = e
	}
	if c.bad || len(c.b) > 0 {
		return fmt.Errorf("session: %w table of %d bytes", ErrMalformed, len(b))
	}
	*t = next
	return nil
}
