package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"cohort/engine/recorder"
	"cohort/groups"
	"cohort/membership"
	"cohort/transfer"
)

// Stateful is a Handler that keeps a state, which a node that joins the group gets
// before anything is delivered to it. The state belongs exactly to the joiner's first
// view: it has all that was delivered to the group before, and nothing of what the
// joiner's handler will be handed. Meanwhile the others go on delivering.
//
// A handler whose Snapshot or Restore has other parameters or results is no Stateful, and
// nothing says so: who joins starts empty. Have the compiler check yours:
//
//	var _ engine.Stateful = (*Book)(nil)
type Stateful interface {
	Handler

	// Snapshot is called in delivery order, like View, right after the joiner's first
	// view. It returns quickly: what it returns is read later, on another goroutine,
	// while deliveries go on, and must stream the state as it was at the call; it is
	// closed then, whether it was read to its end or not. It must bring 256 KiB within
	// ten seconds. An error, or nil, is the joiner's reason to ask another member.
	Snapshot() (io.ReadCloser, error)

	// Restore replaces the handler's state by what r streams, up to io.EOF. It is called
	// on a goroutine of its own, and nothing else of the handler meanwhile. If r fails,
	// Restore returns that error and is called again with another member's state; an
	// error of its own ends the Join. It is called again after an expulsion. If the node is
	// expelled or closed meanwhile, the group left or its Join given up, r fails: a handler
	// is not to be joined with again before Restore has returned.
	Restore(r io.Reader) error
}

const (
	offerFor = 30 * time.Second // how long a snapshot waits to be fetched
	awaitFor = 10 * time.Second // how long one who fetches waits for the snapshot
	stallFor = 10 * time.Second // a transfer that stands still for so long is given up
	maxEarly = 1024             // fetches that wait for a snapshot which is not known of yet

	reachEvery = 200 * time.Millisecond // how often a donor that cannot be reached is tried
	reachTries = 10
	maxReaches = 64 // at once: a donor, which several may join, refuses more than 256

	stateHead = 16 // bytes of a stream's hello before the group's name: joiner and serial
)

var le = binary.LittleEndian

// offerKey names a transfer.
type offerKey struct {
	group  string
	joiner uint64
	serial uint64
}

// offer is a snapshot that was taken for a joiner, or will be.
type offer struct {
	key   offerKey
	label []byte
	early bool          // it is fetched, and this node has not come to where it is made
	timer *time.Timer   // withdraws it; it keeps the snapshot and the node in memory until it is stopped
	ready chan struct{} // closed when what follows is there
	state io.ReadCloser
	err   error
}

// offers is the snapshots that joiners have yet to fetch.
type offers struct {
	mu    sync.Mutex
	open  map[offerKey]*offer
	early int           // of them
	shut  chan struct{} // closed when nothing is offered any more
}

func (t *offers) init() { t.open, t.shut = map[offerKey]*offer{}, make(chan struct{}) }

func (t *offers) isShut() bool {
	select {
	case <-t.shut:
		return true
	default:
		return false
	}
}

// expect returns the offer for one who fetches it: it may still have to be made. nil if too
// many have to.
func (t *offers) expect(key offerKey) *offer {
	t.mu.Lock()
	defer t.mu.Unlock()
	o := t.open[key]
	if o == nil && t.early < maxEarly && !t.isShut() {
		o = t.add(key)
		o.early = true
		t.early++
	}
	return o
}

// promise returns the offer that is to be made now. There are as many as there are joins. A
// serial that names two transfers is a broken member's: the first offer is withdrawn.
func (t *offers) promise(key offerKey) *offer {
	t.mu.Lock()
	defer t.mu.Unlock()
	o := t.open[key]
	if o != nil && o.early {
		t.known(o)
		return o
	}
	if o != nil {
		o.timer.Stop()
		if o.made() {
			defer o.close()
		}
	}
	return t.add(key)
}

func (t *offers) add(key offerKey) *offer {
	o := &offer{key: key, ready: make(chan struct{})}
	t.open[key] = o
	o.timer = time.AfterFunc(offerFor, func() { t.discard(o) })
	return o
}

func (t *offers) known(o *offer) {
	if o.early {
		o.early = false
		t.early--
	}
}

// take removes an offer from the table. It tells whether its snapshot is the caller's now: not
// if somebody else has it, or if Snapshot has yet to be called; see fill.
func (t *offers) take(o *offer) (mine bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open[o.key] != o {
		return false
	}
	delete(t.open, o.key)
	o.timer.Stop()
	t.known(o)
	return o.made()
}

// made tells whether the offer has been filled, or has failed.
func (o *offer) made() bool {
	select {
	case <-o.ready:
		return true
	default:
		return false
	}
}

// discard withdraws an offer.
func (t *offers) discard(o *offer) {
	if t.take(o) {
		o.close()
	}
}

// gone withdraws what was offered to a member that has failed or left.
func (t *offers) gone(id uint64) { t.discardIf(func(k offerKey) bool { return k.joiner == id }) }

func (t *offers) clear() { t.discardIf(func(offerKey) bool { return true }) }

func (t *offers) close() {
	t.mu.Lock()
	close(t.shut)
	t.mu.Unlock()
	t.clear()
}

func (t *offers) discardIf(which func(offerKey) bool) {
	t.mu.Lock()
	var list []*offer
	for k, o := range t.open {
		if which(k) {
			list = append(list, o)
		}
	}
	t.mu.Unlock()
	for _, o := range list {
		t.discard(o)
	}
}

func (o *offer) close() {
	if o.state != nil {
		_ = o.state.Close() // it was only read
	}
}

// fill takes the snapshot, in delivery order.
func (t *offers) fill(o *offer, h Stateful) {
	state, err := h.Snapshot()
	if state == nil && err == nil {
		err = errNilState // as a panic it would end the donor, and then the next one
	}
	t.mu.Lock()
	o.state, o.err = state, err
	wanted := t.open[o.key] == o
	close(o.ready)
	t.mu.Unlock()
	if !wanted {
		o.close()
	}
}

var errNilState = errors.New("the handler's Snapshot returned nil")

// fail makes an offer of nothing.
func (t *offers) fail(o *offer, why error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	o.err = why
	close(o.ready)
}

// offer makes a snapshot of the group's state for a joiner, at this place in the order.
func (n *Node) offer(t *groups.Group[*Group], joiner, serial uint64) {
	o := n.offers.promise(offerKey{t.Name, joiner, serial})
	n.note(recorder.StateOffered, joiner, 0, 0, t.Name)
	o.label = n.stateLabel(t).Append(nil)
	if g := t.Local; g.restore != nil { // it has the state, and is still catching up
		g.restore.keepOffer(o)
	} else {
		n.takeSnapshot(g, o)
	}
}

// takeSnapshot has the handler take a snapshot, after all that it has been handed.
func (n *Node) takeSnapshot(g *Group, o *offer) {
	if g.mute {
		n.offers.fail(o, errNoState)
	} else if g.queue != nil {
		n.enqueue(g.queue, o)
	} else {
		n.offers.fill(o, g.state)
	}
}

// stateLabel says where in the order the group's state at this node is now.
func (n *Node) stateLabel(t *groups.Group[*Group]) groups.Label {
	l := groups.LabelAt(n.proc.Site().Machine(), n.proc.Site().After())
	l.Num = t.Views
	if r := t.Local.restore; r != nil && r.done {
		r.filter.Cover(&l)
	}
	return l
}

// giveState serves one who fetches a state: it is the control plane's handler of
// stream connections.
func (n *Node) giveState(hello []byte, conn net.Conn) {
	defer conn.Close()
	if len(hello) < stateHead {
		return
	}
	n.label("state-give", groupLabel, string(hello[stateHead:]))
	key := offerKey{string(hello[stateHead:]), le.Uint64(hello), le.Uint64(hello[8:])}
	o := n.offers.expect(key)
	if o == nil {
		return
	}
	timer := time.NewTimer(awaitFor)
	defer timer.Stop()
	select {
	case <-o.ready:
	case <-timer.C:
	case <-n.offers.shut:
	}
	if !n.offers.take(o) {
		return
	}
	var sent int64
	err := n.groups.within(func() (err error) {
		defer o.close()
		sent, err = n.sendState(conn, o)
		return err
	})
	n.stats.stateSent.Add(uint64(sent))
	if err != nil {
		n.cfg.Logger.Warn("a state could not be given", "group", key.group, "bytes", sent, "error", err)
		return
	}
	n.stats.statesGiven.Add(1)
	n.cfg.Logger.Info("state given", "group", key.group, "bytes", sent)
}

func (n *Node) sendState(conn net.Conn, o *offer) (int64, error) {
	var state io.Reader = o.state
	if o.err != nil {
		state = failing{o.err}
	}
	to := transfer.LimitStall(conn, stallFor)
	head := append(le.AppendUint32(nil, uint32(len(o.label))), o.label...)
	if _, err := to.Write(head); err != nil {
		return 0, err
	}
	return transfer.Send(to, state)
}

// failing is a reader of what could not be read.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// fetched is what came of fetching a state.
type fetched struct {
	label groups.Label
	err   error
	own   bool // the error is the handler's own
}

// fetchState gets the state from a donor and has the handler restore it.
func (n *Node) fetchState(ctx context.Context, g *Group, donor membership.Member, serial, self uint64) fetched {
	hello := le.AppendUint64(nil, self)
	hello = append(le.AppendUint64(hello, serial), g.name...)
	conn, err := n.reach(ctx, donor, hello)
	if err != nil {
		return fetched{err: err}
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	from := transfer.LimitStall(conn, stallFor+awaitFor)
	l, err := readLabel(from)
	if err != nil {
		return fetched{err: err}
	}
	before := uint64(0)
	r := &watched{Reader: transfer.NewReader(from, func(bytes int64) {
		n.stats.stateReceived.Add(uint64(bytes) - before)
		before = uint64(bytes)
	})}
	if err = n.groups.within(func() error { return g.state.Restore(r) }); err == nil {
		_, err = io.Copy(io.Discard, r) // the end must have come, and agree
	}
	return fetched{label: l, err: err, own: err != nil && r.err == nil && ctx.Err() == nil}
}

// within calls what is the program's, and has it known meanwhile on which goroutine.
func (t *groupTable) within(f func() error) error {
	caller := goroutineID()
	t.mu.Lock()
	t.inside[caller] = struct{}{}
	t.mu.Unlock()
	err := f()
	t.mu.Lock()
	delete(t.inside, caller)
	t.mu.Unlock()
	return err
}

// onTransfer tells whether the caller is a handler's Restore, or its snapshot being read or closed.
func (t *groupTable) onTransfer() (yes bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.inside) > 0 {
		_, yes = t.inside[goroutineID()]
	}
	return yes
}

// reach connects to a donor. One that does not answer may be the only one there is,
// and busy or cut off for a moment: if it is gone, the ring's next view ends ctx.
func (n *Node) reach(ctx context.Context, donor membership.Member, hello []byte) (net.Conn, error) {
	for try := 1; ; try++ {
		select {
		case n.reaches <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		conn, err := n.mesh.Stream(ctx, donor.Control, hello)
		<-n.reaches
		if err == nil || try == reachTries {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(reachEvery):
		}
	}
}

// watched notes how reading ended, if it failed.
type watched struct {
	io.Reader
	err error
}

func (w *watched) Read(p []byte) (int, error) {
	k, err := w.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return k, err
}

func readLabel(r io.Reader) (groups.Label, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return groups.Label{}, err
	}
	k := le.Uint32(size[:])
	if k > groups.MaxLabel {
		return groups.Label{}, fmt.Errorf("engine: %w: a label of %d bytes, want at most %d", ErrState, k, groups.MaxLabel)
	}
	b := make([]byte, k)
	if _, err := io.ReadFull(r, b); err != nil {
		return groups.Label{}, err
	}
	l, err := groups.ParseLabel(b)
	if err != nil {
		return groups.Label{}, fmt.Errorf("engine: %w: %w", ErrState, err)
	}
	return l, nil
}

// results is what came of fetching states, for the loop.
type results struct {
	any  atomic.Bool
	mu   sync.Mutex
	list []result
}

type result struct {
	group   *Group
	restore *restoring
	fetched
}

func (t *results) add(g *Group, r *restoring, f fetched) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.list = append(t.list, result{g, r, f})
	t.any.Store(true)
}

func (t *results) take() (list []result) {
	if !t.any.Load() {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	list, t.list = t.list, nil
	t.any.Store(false)
	return list
}
