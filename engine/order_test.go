package engine

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"cohort/iomulticast"
)

var allLevels = []Level{
	FIFO, Causal, Total,
	FIFO.Safe(), Causal.Safe(), Total.Safe(),
	FIFO.SafeAll(), Causal.SafeAll(), Total.SafeAll(),
}

// members is how many nodes the tests of order have. Each has two sources of
// messages: its program, which is source rank*2, and its handler, which answers
// some messages with others and is source rank*2+1.
const (
	members = 3
	sources = 2 * members
)

// stamped is a message of these tests: who made it, the how manyth it is, how
// many answers led to it, and how many messages of each source its member had
// delivered when it was sent.
type stamped struct {
	source int
	seq    uint32
	depth  uint8
	past   [sources]uint32
	fill   int // bytes beyond the stamp
}

const stampSize = 1 + 4 + 1 + 4*sources

func (s stamped) encode() []byte {
	b := make([]byte, 0, stampSize+s.fill)
	b = append(b, byte(s.source))
	b = binary.LittleEndian.AppendUint32(b, s.seq)
	b = append(b, s.depth)
	for _, n := range s.past {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	for i := range s.fill {
		b = append(b, byte(s.seq)+byte(i))
	}
	return b
}

func decode(b []byte) (s stamped, ok bool) {
	if len(b) < stampSize {
		return s, false
	}
	s.source, s.seq, s.depth = int(b[0]), binary.LittleEndian.Uint32(b[1:]), b[5]
	for i := range s.past {
		s.past[i] = binary.LittleEndian.Uint32(b[6+4*i:])
	}
	s.fill = len(b) - stampSize
	for i, c := range b[stampSize:] {
		if c != byte(s.seq)+byte(i) {
			return s, false
		}
	}
	return s, s.source < sources
}

// witness is one member: it sends, answers, and checks the order of what it gets.
type witness struct {
	t      *testing.T
	rank   int
	levels []Level
	fill   int
	group  atomic.Pointer[Group]

	had       [sources]atomic.Uint32 // delivered of each source
	answers   atomic.Uint32          // made by this member's handler
	totals    []uint64               // total-order messages, in order
	delivered atomic.Int64
}

// Deliver checks what a single member can see of the promises.
func (w *witness) Deliver(m *Message) {
	s, ok := decode(m.Payload)
	if !ok || s.source/2 != m.Sender {
		w.t.Errorf("member %d: a message of %d bytes from %d that nobody sent", w.rank, len(m.Payload), m.Sender)
		return
	}
	if n := w.had[s.source].Load(); s.seq != n {
		w.t.Errorf("member %d: source %d: message %d at %v after %d of them", w.rank, s.source, s.seq, m.Level, n)
	}
	if m.Level.Order() >= Causal {
		for k, n := range s.past {
			if w.had[k].Load() < n {
				w.t.Errorf("member %d: source %d message %d at %v was sent after %d messages of source %d, but comes after %d",
					w.rank, s.source, s.seq, m.Level, n, k, w.had[k].Load())
			}
		}
	}
	if m.Level.Order() == Total {
		w.totals = append(w.totals, uint64(s.source)<<32|uint64(s.seq))
	}
	w.had[s.source].Add(1)
	if s.seq%4 == uint32(w.rank) && s.depth < 3 {
		w.answer(s.depth + 1)
	}
	w.delivered.Add(1)
}

func (w *witness) View(GroupView) {}

func (w *witness) answer(depth uint8) {
	seq := w.answers.Add(1) - 1
	s := stamped{source: 2*w.rank + 1, seq: seq, depth: depth, past: w.past(), fill: int(seq) % 50}
	if err := w.group.Load().Send(context.Background(), w.levels[int(seq)%len(w.levels)], s.encode()); err != nil {
		w.t.Errorf("member %d: sending in the handler: %v", w.rank, err)
	}
}

func (w *witness) past() (p [sources]uint32) {
	for k := range p {
		p[k] = w.had[k].Load()
	}
	return p
}

// send is the member's program.
func (w *witness) send(ctx context.Context, each int) {
	r := rand.New(rand.NewPCG(uint64(w.rank), 7))
	for seq := range uint32(each) {
		s := stamped{source: 2 * w.rank, seq: seq, past: w.past(), fill: r.IntN(w.fill)}
		if err := w.group.Load().Send(ctx, w.levels[r.IntN(len(w.levels))], s.encode()); err != nil {
			w.t.Errorf("member %d, message %d: %v", w.rank, seq, err)
			return
		}
	}
}

// checkOrders sends from three members at once, each message at one of the
// levels, with answers to answers among them, and checks what the levels promise.
func checkOrders(t *testing.T, levels []Level, each, fill int, change func(i int, c *Config)) []*Node {
	nodes := openRing(t, members, change)
	ws := make([]*witness, members)
	groups := joinAll(t, nodes, "orders", func(i int) Handler {
		ws[i] = &witness{t: t, rank: nodes[i].Rank(), levels: levels, fill: fill}
		return ws[i]
	})
	for i, g := range groups {
		ws[i].group.Store(g)
	}
	ctx := patient(t)
	var wg sync.WaitGroup
	for _, w := range ws {
		wg.Go(func() { w.send(ctx, each) })
	}
	wg.Wait()
	eventually(t, "all delivered everywhere", func() bool {
		sent := int64(members * each)
		for _, w := range ws {
			sent += int64(w.answers.Load())
		}
		for _, w := range ws {
			if w.delivered.Load() != sent {
				return false
			}
		}
		return true
	})
	closeAll(t, nodes) // so that what the handlers wrote may be read
	for _, w := range ws[1:] {
		if !slices.Equal(w.totals, ws[0].totals) {
			t.Errorf("total order differs: %s", firstDifference(ws[0], w))
		}
	}
	return nodes
}

func firstDifference(a, b *witness) string {
	for i := range min(len(a.totals), len(b.totals)) {
		if a.totals[i] != b.totals[i] {
			return fmt.Sprintf("at %d member %d has %x and member %d has %x", i, a.rank, a.totals[i], b.rank, b.totals[i])
		}
	}
	return fmt.Sprintf("member %d has %d, member %d has %d", a.rank, len(a.totals), b.rank, len(b.totals))
}

func closeAll(t *testing.T, nodes []*Node) {
	t.Helper()
	var wg sync.WaitGroup
	for _, n := range nodes {
		wg.Go(func() {
			if err := n.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// scaled brings the number of messages of a test down under the race detector.
func scaled(n int) int {
	if raced {
		return n / 10
	}
	return n
}

func TestEveryLevelKeepsItsOrder(t *testing.T) {
	for _, l := range allLevels {
		t.Run(l.String(), func(t *testing.T) { checkOrders(t, []Level{l}, scaled(3000), 60, nil) })
	}
}

func TestLevelsMixed(t *testing.T) { checkOrders(t, allLevels, scaled(5000), 60, nil) }

func TestLossAndRepeatsAtAllLevels(t *testing.T) {
	for name, levels := range map[string][]Level{"mixed": allLevels, "fbcast": {FIFO}, "safe-abcast": {Total.Safe()}} {
		t.Run(name, func(t *testing.T) {
			nodes := checkOrders(t, levels, scaled(3000), 2000, func(i int, c *Config) {
				c.Segment = 1400 // many packets to lose
				c.Faults = iomulticast.Faults{Loss: 0.05, Duplicate: 0.05, Seed: uint64(i)}
			})
			var repaired, duplicates uint64
			for _, n := range nodes {
				repaired += n.Stats().Retransmitted
				duplicates += n.Stats().Duplicates
			}
			if repaired == 0 || duplicates == 0 {
				t.Errorf("%d packets repaired, %d repeats seen: there was nothing to overcome", repaired, duplicates)
			}
		})
	}
}

func TestWithoutTrains(t *testing.T) {
	nodes := checkOrders(t, allLevels, scaled(3000), 2000, func(_ int, c *Config) { c.Trains = iomulticast.Off })
	for _, n := range nodes {
		if f := n.Features(); f.GSO.On || f.GRO.On {
			t.Errorf("trains are on: %+v", f)
		}
	}
}

func TestSpinning(t *testing.T) {
	checkOrders(t, []Level{Total}, scaled(1000), 60, func(_ int, c *Config) { c.Spin = true })
}

// TestHandlersMessagesOvertakeNone: while the program keeps the submit ring full, some of
// what a handler sends goes through the ring and some waits beside it. Messages that fill
// their granules take the least of the ring for their size.
func TestHandlersMessagesOvertakeNone(t *testing.T) {
	const each, size = 40_000, 64
	nodes := openRing(t, 1, func(_ int, c *Config) { c.SubmitRing = minSubmitRing })
	var group atomic.Pointer[Group]
	var sent, got uint64 // of the handler's own
	var overtaken atomic.Int64
	var delivered atomic.Int64
	joined := joinAll(t, nodes, "own", func(int) Handler {
		return HandlerFunc(func(m *Message) {
			defer delivered.Add(1)
			if m.Payload[0] == 1 {
				if n := binary.LittleEndian.Uint64(m.Payload[1:]); n != got {
					overtaken.Add(1)
				}
				got++
				return
			}
			own := make([]byte, size)
			own[0] = 1
			binary.LittleEndian.PutUint64(own[1:], sent)
			sent++
			if err := group.Load().Send(context.Background(), FIFO, own); err != nil {
				t.Error(err)
			}
		})
	})
	group.Store(joined[0])
	ctx := patient(t)
	for range scaled(each) {
		if err := joined[0].Send(ctx, FIFO, make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all delivered", func() bool { return delivered.Load() == int64(2*scaled(each)) })
	if n := overtaken.Load(); n > 0 {
		t.Errorf("%d of the handler's %d messages came out of their order", n, scaled(each))
	}
}
