package lock

import (
	"fmt"
	"maps"
	"slices"

	"cohort/engine"
	"cohort/toolkit"
)

// machine keeps, for each lock, the requests that have not been released, in the total
// order. A request is granted where those before it leave room for it. Only its owner
// has to see that, so releases need no place in the order: until one has come, its
// request is counted. Who is late grants late, and never too early.
type machine struct {
	count  uint64 // token given last
	queues map[string][]*request

	born   uint64 // tokens start above it
	self   uint64
	serial uint64            // of this member's last request
	own    map[uint64]*claim // this member's, by serial
}

// request is what a member has asked for and not released.
type request struct {
	member, serial   uint64
	name             string
	weight, capacity uint32
	token            uint64
	mixed            bool // some before it had another capacity when it came
}

// claim is a request as its owner sees it.
type claim struct {
	name             string
	weight, capacity uint32
	level            engine.Level
	try              bool // not to be waited for

	serial  uint64
	settled chan struct{} // closed when it is granted or refused
	err     error         // why it is refused
	grant   *Grant        // nil if it is not granted
}

func newMachine(born uint64) *machine {
	return &machine{born: born, queues: map[string][]*request{}, own: map[uint64]*claim{}}
}

// ask sends a request for c.
func (m *machine) ask(c *claim, out toolkit.Out) {
	m.serial++
	c.serial = m.serial
	m.own[c.serial] = c
	out.Send(c.level, appendRequest(nil, c.serial, m.born, c))
}

// giveUp releases c, or takes its request back, unless that is over already.
func (m *machine) giveUp(c *claim, out toolkit.Out) {
	if m.own[c.serial] == c {
		m.release(c.serial, c.name, out)
	}
}

// release ends a request of this member's. It is a FIFO message: it comes after the
// request, and after all that its sender sent to its groups while it held the lock.
func (m *machine) release(serial uint64, name string, out toolkit.Out) {
	delete(m.own, serial)
	out.Send(engine.FIFO, appendRelease(nil, serial, name))
}

// Deliver takes a request or a release.
func (m *machine) Deliver(k toolkit.Message, out toolkit.Out) {
	if r, born, ok := parseRequest(k.Payload); ok {
		m.count = max(m.count+1, born)
		r.member, r.token = k.From, m.count
		m.requested(&r, out)
	} else if serial, name, ok := parseRelease(k.Payload); ok {
		m.remove(name, func(r *request) bool { return r.member == k.From && r.serial == serial })
		m.grant(name)
	}
}

func (m *machine) requested(r *request, out toolkit.Out) {
	earlier := m.queues[r.name]
	m.enter(r)
	if r.member != m.self {
		return
	}
	c := m.own[r.serial]
	if c == nil { // its owner is gone; what it sent may have crossed with that
		m.release(r.serial, r.name, out)
		return
	}
	if len(earlier) > 0 && earlier[0].capacity != r.capacity && !m.doubtful(earlier[0]) { // others that differ from the first are refused themselves
		m.refuse(c, fmt.Errorf("lock: %w: %q has %d, want %d", ErrCapacity, r.name, earlier[0].capacity, r.capacity), out)
		return
	}
	m.grant(r.name)
	if c.try && c.grant == nil {
		m.refuse(c, fmt.Errorf("lock: %w: %q", ErrTaken, r.name), out)
	}
}

// enter puts a request at the end of its queue.
func (m *machine) enter(r *request) {
	q := m.queues[r.name]
	r.mixed = slices.ContainsFunc(q, func(e *request) bool { return e.capacity != r.capacity })
	m.queues[r.name] = append(q, r)
}

// doubtful tells whether a request may be over, and its release on the way: its owner has refused
// it for those that it came behind, or it is this member's own, and is.
func (m *machine) doubtful(r *request) bool {
	return r.mixed || r.member == m.self && m.own[r.serial] == nil
}

func (m *machine) refuse(c *claim, err error, out toolkit.Out) {
	m.release(c.serial, c.name, out)
	c.end(err)
}

// end tells c's owner that it has it no more, or will not get it.
func (c *claim) end(err error) {
	if c.grant != nil {
		close(c.grant.lost)
		return
	}
	c.err = err
	close(c.settled)
}

// grant grants what there is room for among this member's requests for a lock. One with
// another capacity than the first has been refused, or granted where that had been released
// already: nobody can tell until its release comes.
func (m *machine) grant(name string) {
	sum, queue := uint64(0), m.queues[name]
	for _, r := range queue {
		if r.capacity != queue[0].capacity {
			return
		}
		if sum += uint64(r.weight); sum > uint64(r.capacity) {
			return
		}
		if c := m.own[r.serial]; r.member == m.self && c != nil && c.grant == nil {
			c.grant = &Grant{Token: r.token, lost: make(chan struct{})}
			close(c.settled)
		}
	}
}

// remove takes requests off a queue.
func (m *machine) remove(name string, gone func(r *request) bool) {
	if q := slices.DeleteFunc(m.queues[name], gone); len(q) > 0 {
		m.queues[name] = q
	} else {
		delete(m.queues, name)
	}
}

// View releases what those have who are gone.
func (m *machine) View(v toolkit.View, out toolkit.Out) {
	switch {
	case v.Expelled:
		m.endAll(engine.ErrExpelled)
		m.queues = map[string][]*request{}
		return
	case v.Blocked:
		m.quit(out)
		return
	}
	m.self = v.Self
	if v.Rank(v.Self) < 0 {
		m.endAll(engine.ErrNotMember)
	}
	if len(v.Left) == 0 {
		return
	}
	for name := range m.queues { // one lock does not concern another: their order is of no account
		m.remove(name, func(r *request) bool { return v.Rank(r.member) < 0 })
		m.grant(name)
	}
}

// endAll ends all that this member has or waits for.
func (m *machine) endAll(why error) {
	for serial, c := range m.own {
		delete(m.own, serial)
		c.end(fmt.Errorf("lock: %q: %w", c.name, why))
	}
}

// quit releases all that this member holds. It may have lost it already: others may go
// on without this member. It keeps waiting for what it waits for.
func (m *machine) quit(out toolkit.Out) {
	for _, serial := range slices.Sorted(maps.Keys(m.own)) {
		if c := m.own[serial]; c.grant != nil {
			m.release(serial, c.name, out)
			c.end(ErrLost)
		}
	}
}
