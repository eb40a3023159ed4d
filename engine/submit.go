package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	"cohort/core"
	"cohort/ring"
)

// Kinds of messages, as the machine carries them.
const (
	kindPlain   = 0
	kindAsk     = 1 // payload begins with the question's number
	kindReply   = 2 // payload begins with the asker's ID and the question's number
	kindControl = 3 // joins and leaves of groups
)

// The submit ring's metadata word: group, level, kind, and whether the payload
// lies in the queue of large messages instead.
const (
	levelShift = 32
	kindShift  = 40
	largeFlag  = 1 << 63
)

func pack(group uint32, l Level, kind uint8) uint64 {
	return uint64(group) | uint64(l)<<levelShift | uint64(kind)<<kindShift
}

// controlMeta is that of an operation on groups.
var controlMeta = pack(0, Total, kindControl)

func unpack(meta uint64, size int) core.Message {
	return core.Message{
		Group: uint32(meta), Level: Level(meta >> levelShift & 0xff), Kind: uint8(meta >> kindShift & core.MaxKind), Size: size,
	}
}

// send takes a message from the program, and tells its place in the submit ring. With
// wait it waits for room until ctx ends; on the loop's own goroutine, inside a handler,
// nobody could make room meanwhile, so there it never waits.
func (n *Node) send(ctx context.Context, wait bool, meta uint64, payload []byte) (pos uint64, err error) {
	if n.refusal() != nil || len(payload) > MaxMessage {
		if err := n.sendable(payload); err != nil {
			return 0, err
		}
	}
	small := len(payload) <= n.submits.MaxRecord()
	if small && !n.backlog.inUse() {
		if pos, ok := n.submits.TryPushAt(meta, payload); ok {
			n.nudge()
			return pos, nil
		}
	}
	switch {
	case n.closing.Load():
		return 0, errClosed
	case n.onLoop():
		return n.backlog.add(meta, payload, n.submits.End())
	case !small:
		return n.sendLarge(ctx, wait, meta, payload)
	}
	if pos, err = n.push(ctx, wait, meta, payload, nil); err == nil {
		n.nudge()
	}
	return pos, err
}

// sendable tells why the node takes no such message now, if it does not.
func (n *Node) sendable(payload []byte) error {
	if len(payload) > MaxMessage {
		return fmt.Errorf("engine: %w: %d bytes, want at most %d", ErrTooLarge, len(payload), MaxMessage)
	}
	err := n.refusal()
	if err != nil && n.closing.Load() {
		err = errClosed
	}
	return err
}

// push puts a record into the ring. With wait it waits for room, as long as this node can
// send at all. mark may be nil.
func (n *Node) push(ctx context.Context, wait bool, meta uint64, payload []byte, mark *ring.Mark) (pos uint64, err error) {
	if !wait {
		pos, ok := n.submits.TryPushAt(meta, payload)
		if !ok {
			return 0, fmt.Errorf("engine: %w: the submit ring is full", ErrWouldBlock)
		}
		return pos, nil
	}
	p, err := n.whileIn(ctx)
	if err != nil {
		return 0, err
	}
	pos, err = n.submits.PushAt(p.ctx, p.halt, meta, payload, mark)
	switch {
	case err == nil:
		return pos, nil
	case errors.Is(err, ring.ErrClosed):
		return 0, errClosed
	case stands(err):
		return 0, err
	}
	return 0, fmt.Errorf("engine: waiting for room: %w", err)
}

// large is a message too large for the ring. The loop packs it straight from the
// program's memory, so that it is copied once.
type large struct {
	meta    uint64
	payload []byte
	done    chan error // buffered; told when the payload is the program's again

	mu        sync.Mutex // held while the payload is read
	withdrawn bool
}

// withdraw takes the message back from the loop, unless it is done with it.
func (l *large) withdraw() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.withdrawn = len(l.done) == 0
	return l.withdrawn
}

// largeQueue holds large messages in the order of their marks in the ring.
type largeQueue struct {
	turn chan struct{} // held while a message and its mark are put in
	mu   sync.Mutex
	list []*large
}

func (q *largeQueue) push(l *large) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.list = append(q.list, l)
}

func (q *largeQueue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.list) == 0
}

func (q *largeQueue) pop() *large {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.list[0]
	q.list = q.list[1:]
	return l
}

// unpush takes back the newest message, whose mark did not get into the ring.
func (q *largeQueue) unpush() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.list = q.list[:len(q.list)-1]
}

// sendLarge sends a message that does not fit the ring. With wait it returns when
// the whole payload has been packed; if ctx ends before, no member delivers it.
// Without, the payload is copied.
func (n *Node) sendLarge(ctx context.Context, wait bool, meta uint64, payload []byte) (pos uint64, err error) {
	p, err := n.whileIn(ctx)
	if err != nil {
		return 0, err
	}
	l := &large{meta: meta, payload: payload, done: make(chan error, 1)}
	if !wait {
		l.payload = append([]byte(nil), payload...)
	}
	if pos, err = n.enqueueLarge(p, wait, l); err != nil {
		return 0, err
	}
	n.nudge()
	if !wait {
		return pos, nil
	}
	select {
	case err = <-l.done:
		return pos, err
	case <-ctx.Done():
		err = fmt.Errorf("engine: message withdrawn: %w", context.Cause(ctx))
	case <-p.halt.Done():
		err = context.Cause(p.halt)
	case <-n.ending: // it may have come too late for the loop to see it
		err = errClosed
	}
	if !l.withdraw() {
		return pos, <-l.done
	}
	_ = n.conn.Wake() // closed: nobody has to be told
	return pos, err
}

var errLargeWaits = fmt.Errorf("engine: %w: another large message is waiting", ErrWouldBlock)

func (n *Node) enqueueLarge(p waits, wait bool, l *large) (pos uint64, err error) {
	if !wait {
		select {
		case n.larges.turn <- struct{}{}:
		default:
			return 0, errLargeWaits
		}
	} else if err = n.takeTurn(p, n.larges.turn); err != nil {
		return 0, err
	}
	defer func() { <-n.larges.turn }()
	if !wait && !n.larges.empty() { // else copies would pile up
		return 0, errLargeWaits
	}
	n.larges.push(l)
	if pos, err = n.push(p.ctx, wait, l.meta|largeFlag, nil, nil); err != nil {
		n.larges.unpush()
	}
	return pos, err
}

// takeTurn waits until nobody else holds turn. p is looked at only while it waits.
func (n *Node) takeTurn(p waits, turn chan struct{}) error {
	select {
	case turn <- struct{}{}:
		return nil
	default:
	}
	select {
	case turn <- struct{}{}:
		return nil
	case <-p.ctx.Done():
		return fmt.Errorf("engine: waiting for room: %w", context.Cause(p.ctx))
	case <-p.halt.Done():
		return context.Cause(p.halt)
	case <-n.ending:
		return errClosed
	}
}

// backlog holds what handlers sent while the ring was full, and what the engine sends of
// its own accord. It comes after what had been put into the ring before.
type backlog struct {
	used  atomic.Bool
	list  []pending
	first int // of list, the next to submit
	bytes int
	after uint64 // its turn comes once the ring is consumed up to here
}

type pending struct {
	meta    uint64
	payload []byte
}

// maxBacklog bounds the bytes in the backlog: past it a handler's Send fails.
const maxBacklog = 64 << 20

func (b *backlog) inUse() bool { return b.used.Load() }
func (b *backlog) empty() bool { return b.first == len(b.list) }

// add returns the place in the ring before which the message's turn comes.
func (b *backlog) add(meta uint64, payload []byte, after uint64) (pos uint64, err error) {
	if b.bytes+len(payload) > maxBacklog {
		return 0, fmt.Errorf("engine: %w: a handler cannot wait, and %d bytes of handlers' messages wait already", ErrWouldBlock, b.bytes)
	}
	b.own(meta, payload, after)
	return b.after, nil
}

// own is add for what the engine has to say itself: nobody could try it again later.
func (b *backlog) own(meta uint64, payload []byte, after uint64) {
	if b.empty() {
		b.after = after
		b.used.Store(true)
	}
	b.list = append(b.list, pending{meta, append([]byte(nil), payload...)})
	b.bytes += len(payload)
}

func (b *backlog) next() pending {
	p := b.list[b.first]
	b.list[b.first] = pending{}
	b.bytes -= len(p.payload)
	if b.first++; b.empty() {
		b.list, b.first = b.list[:0], 0
		b.used.Store(false)
	}
	return p
}

// drop forgets everything.
func (b *backlog) drop() {
	b.list, b.first, b.bytes = b.list[:0], 0, 0
	b.used.Store(false)
}

// sending is the message that the machine has taken in part, if any.
type sending struct {
	active bool
	stuck  bool // the window was closed when last tried
	msg    core.Message
	whole  []byte // to be sent again in the next view, if this one ends meanwhile
	rest   []byte
	large  *large // nil: from the ring or the backlog
	ring   bool   // its record is still in the ring
}

// submit moves messages into the machine until there are none or its window closes.
func (n *Node) submit(now int64) {
	s := &n.sending
	for {
		if !s.active {
			n.submitWhole(now)
		}
		if !s.active && !n.fetch() {
			break
		}
		if s.large != nil {
			n.submitLarge(now)
		} else {
			n.submitPart(now)
		}
		if s.stuck {
			break
		}
	}
	n.submits.Release()
}

// submitWhole moves the messages at the head of the ring that need no second look: that
// the machine takes at once, and that are not large, nor to a group that this node is not
// in. Those are most of them.
func (n *Node) submitWhole(now int64) {
	if !n.mayFetch() || n.fence || !n.backlog.empty() {
		return
	}
	for {
		meta, payload, ok := n.submits.Peek()
		if !ok || meta&largeFlag != 0 {
			return
		}
		msg := unpack(meta, len(payload))
		g := n.groups.at(msg.Group)
		if g == nil || g.id == 0 || msg.Kind == kindControl {
			return
		}
		msg.Group = g.id
		taken, done := n.proc.Submit(now, msg, payload)
		if !done {
			n.sending = sending{active: true, ring: true, msg: msg, whole: payload, rest: payload[taken:]}
			return
		}
		n.submits.Next()
	}
}

func (n *Node) submitPart(now int64) {
	s := &n.sending
	taken, done := n.proc.Submit(now, s.msg, s.rest)
	s.rest = s.rest[taken:]
	if s.stuck = !done; done {
		n.sent(nil)
	}
}

// submitLarge is submitPart for a message that its sender may withdraw.
func (n *Node) submitLarge(now int64) {
	l := n.sending.large
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.withdrawn {
		n.submitPart(now)
		return
	}
	n.proc.Abort(now)
	n.sending.stuck = false
	n.sent(nil)
}

// fence is a control message without effect that others deliver after all that
// was delivered here, and before what this node sends next. It comes before the
// first message after a join: the message might reach the one that joined before
// the news that it has, and be lost on it.
var fence = core.Message{Level: Causal, Kind: kindControl}

// fetch makes the next message the one being sent. Messages to a group that this
// node is not in, or not again yet, are passed over: they were sent while the node
// was being expelled. So are joins of groups that are being joined already, and leaves of
// those that are not being joined yet; see submitting.
func (n *Node) fetch() bool {
	for {
		s := &n.sending
		if !n.mayFetch() {
			return false
		}
		meta, payload, ok := n.submits.Peek()
		fromBacklog := !n.backlog.empty() && n.submits.Passed(n.backlog.after)
		switch {
		case n.fence && (ok || fromBacklog):
			*s, n.fence = sending{active: true, msg: fence}, false
		case fromBacklog:
			p := n.backlog.next()
			*s = sending{active: true, msg: unpack(p.meta, len(p.payload)), whole: p.payload}
		case !ok:
			return false
		case meta&largeFlag == 0:
			s.active, s.ring, s.large, s.msg, s.whole = true, true, nil, unpack(meta, len(payload)), payload
		default:
			l := n.larges.pop()
			*s = sending{active: true, ring: true, large: l, msg: unpack(meta, len(l.payload)), whole: l.payload}
		}
		s.rest = s.whole
		if n.address(s) {
			return true
		}
		if n.accepted(s) {
			n.stats.loop.MessagesLost++
		}
		n.sent(errOutside)
	}
}

// accepted tells whether the sender of a message that is passed over believes that it is on
// its way. That of a large one waits for it, and one that came after this node's leave of
// the group has been refused.
func (n *Node) accepted(s *sending) bool {
	g := n.groups.at(s.msg.Group)
	return s.large == nil && s.msg.Kind != kindControl && g != nil && !g.parting.Set()
}

// mayFetch tells whether messages can go into the machine at all: outside of a ring,
// and until the table of its groups is known, they wait.
func (n *Node) mayFetch() bool { return n.roster.Known() && n.proc.In() }

// address puts the group's number in the ring in the place of this node's own. It is false
// for what is to be passed over.
func (n *Node) address(s *sending) bool {
	if s.msg.Kind == kindControl {
		return n.submitting(s.whole)
	}
	g := n.groups.at(s.msg.Group)
	if g == nil || g.id == 0 {
		return false
	}
	s.msg.Group = g.id
	return true
}

// sent ends the message being sent.
func (n *Node) sent(err error) {
	s := &n.sending
	if s.ring {
		n.submits.Next()
	}
	if s.large != nil {
		s.large.done <- err
		n.tookLarge = true
	}
	s.active, s.ring, s.large, s.whole, s.rest = false, false, nil, nil, nil
}

// failSends drops what waits to be sent, and tells the senders of large messages
// why. It returns the number of messages that had been accepted.
func (n *Node) failSends(err error) (lost int) {
	if n.sending.active {
		n.sent(err)
		lost++
	}
	n.sending.stuck = false
	for meta, _, ok := n.submits.Peek(); ok; meta, _, ok = n.submits.Peek() {
		if meta&largeFlag != 0 {
			n.larges.pop().done <- err
		}
		n.submits.Next()
		lost++
	}
	n.submits.Release()
	lost += len(n.backlog.list) - n.backlog.first
	n.backlog.drop()
	return lost
}

// onLoop tells whether the caller is the loop's goroutine: a handler. It takes a
// system call, and is asked only off the path of a message that finds room.
func (n *Node) onLoop() bool { return threadID() == n.loop.Load() }

// goroutineID returns the number that the runtime gives this goroutine in stack
// traces; there is no other way to tell who is calling. It takes some 10 µs.
func goroutineID() uint64 {
	var buf [40]byte
	s := buf[len("goroutine "):runtime.Stack(buf[:], false)]
	for i, c := range s {
		if c == ' ' {
			id, _ := strconv.ParseUint(string(s[:i]), 10, 64) // digits, by the runtime's format
			return id
		}
	}
	return 0
}
