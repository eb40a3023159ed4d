package failover

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"cohort/engine"
	"cohort/internal/bench/clock"

	"github.com/cespare/xxhash/v2"
)

var le = binary.LittleEndian

// MinSize is the smallest message: its number, bytes.
const MinSize = 8

// Chain is what has been delivered to the group since it began: members whose
// chains are equal have delivered the same messages in the same order. It is the
// group's state, so that who joins must be given it at the right place.
type Chain struct {
	Count uint64            `json:"count"`
	Hash  uint64            `json:"hash"` // of each delivery and the hash before it
	Last  map[string]uint64 `json:"last"` // number of the last message delivered, by sender that is in the group
}

// add chains one delivery. It returns an error where a message of the sender is
// missing before it, or came before.
func (c *Chain) add(from string, seq uint64) error {
	last, known := c.Last[from]
	c.Last[from] = seq
	c.Count++
	d := xxhash.New()
	var b [16]byte
	le.PutUint64(b[:], c.Hash)
	le.PutUint64(b[8:], seq)
	_, _ = d.Write(b[:])
	_, _ = d.WriteString(from)
	c.Hash = d.Sum64()
	if known && seq != last+1 {
		return fmt.Errorf("message %d of %s was delivered where %d was next", seq, from, last+1)
	}
	return nil
}

// ledger is the handler of the group. It keeps the chain, and when what came.
type ledger struct {
	state int64 // bytes of a snapshot, at least

	mu     sync.Mutex
	chain  Chain
	track  track
	views  []sight
	breach error
	seen   chan struct{} // closed when there is one more view
}

// trackRoom is how many deliveries a track has room for from the start: growing it
// would hold up the loop that is measured.
const trackRoom = 1 << 16

func newLedger(state int64) *ledger {
	return &ledger{state: state, chain: Chain{Last: map[string]uint64{}}, track: make(track, 0, trackRoom), seen: make(chan struct{})}
}

// Deliver takes a message.
func (l *ledger) Deliver(m *engine.Message) {
	at, from := clock.Now(), m.From().Name
	l.mu.Lock()
	defer l.mu.Unlock()
	l.track = append(l.track, arrival{at, from})
	if len(m.Payload) < MinSize {
		l.breach = fmt.Errorf("a message of %s with %d bytes was delivered, which nobody has sent", from, len(m.Payload))
		return
	}
	if err := l.chain.add(from, le.Uint64(m.Payload)); err != nil && l.breach == nil {
		l.breach = err
	}
}

// View takes a view. Who has left may come back with other messages: those that it
// sent last may be lost with its membership.
func (l *ledger) View(v engine.GroupView) {
	at := clock.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if v.Fresh {
		l.chain = Chain{Last: map[string]uint64{}}
	}
	for _, d := range v.Left {
		delete(l.chain.Last, d.Name)
	}
	s := sight{at: at, size: len(v.Members)}
	if v.Expelled || v.Blocked {
		s.size = 0
	}
	l.views = append(l.views, s)
	close(l.seen)
	l.seen = make(chan struct{})
}

// Snapshot streams the chain, filled up to the size that a state is to have.
func (l *ledger) Snapshot() (io.ReadCloser, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	chain, err := json.Marshal(l.chain)
	if err != nil {
		return nil, err
	}
	head := append(le.AppendUint32(nil, uint32(len(chain))), chain...)
	rest := max(l.state-int64(len(head)), 0)
	return io.NopCloser(io.MultiReader(bytes.NewReader(head), io.LimitReader(zeros{}, rest))), nil
}

// Restore takes over a chain.
func (l *ledger) Restore(r io.Reader) error {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return err
	}
	b := make([]byte, le.Uint32(size[:]))
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	var chain Chain
	if err := json.Unmarshal(b, &chain); err != nil {
		return err
	}
	if chain.Last == nil {
		return fmt.Errorf("a state without senders")
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.chain = chain
	return nil
}

// zeros is a reader without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// begin forgets the deliveries and views so far: a round begins.
func (l *ledger) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.track, l.views = l.track[:0], l.views[:0]
}

// await waits for a view of so many members after a time.
func (l *ledger) await(ctx context.Context, size int, since int64) error {
	for {
		l.mu.Lock()
		views, seen := slices.Clone(l.views), l.seen
		l.mu.Unlock()
		if _, ok := firstOf(views, size, since); ok {
			return nil
		}
		select {
		case <-seen:
		case <-ctx.Done():
			return fmt.Errorf("no view of %d members came, but since then %v: %w", size, after(views, since), ctx.Err())
		}
	}
}

// measure tells what was seen of a fault; see Request.
func (l *ledger) measure(q Request) (*Measured, error) {
	l.mu.Lock()
	t, views := slices.Clone(l.track), slices.Clone(l.views)
	l.mu.Unlock()
	view, ok := firstOf(views, q.Size, q.Since)
	if !ok {
		return nil, fmt.Errorf("no view of %d members since the fault", q.Size)
	}
	m := &Measured{View: view - q.Since}
	gap, end, ok := t.longestGap(q.Since, q.Until)
	if !ok {
		return m, nil // nothing yet
	}
	m.Gap = gap
	m.Recovered, _ = t.recovered(q.Since, end, q.Hit)
	m.Timeline = t.timeline(q.Since, q.Hit)
	return m, nil
}

// look returns a copy of the chain and the first breach, if there is one.
func (l *ledger) look() (Chain, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.chain
	c.Last = maps.Clone(c.Last)
	return c, l.breach
}
