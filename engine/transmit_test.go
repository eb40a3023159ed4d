package engine

import (
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"cohort/batch"
	"cohort/iomulticast"
	"cohort/slab"
)

// TestCourierKeepsTheOrder: whoever sends, the courier or the driver that takes over
// from it at any moment, packets leave once and in order, and their memory is given back.
func TestCourierKeepsTheOrder(t *testing.T) {
	cfg := iomulticast.Config{Interface: "lo", Group: netip.MustParseAddrPort("239.255.77.12:7712")}
	var conns [2]*iomulticast.Conn
	for i := range conns {
		c, err := iomulticast.Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns[i] = c
	}
	n := &Node{conn: conns[0], pool: slab.NewPool(), cfg: Config{Logger: slog.New(slog.DiscardHandler)}}
	n.courier.init(n.conn)
	in := make([]batch.Train, 16)
	for i := range in {
		in[i].Buf = make([]byte, 1<<16)
	}
	sent, got := uint64(0), uint64(0)
	for range scaled(500) {
		ref := n.pool.Get()
		mem := n.pool.Bytes(ref)
		train := func() batch.Train {
			b := mem[:8]
			mem = mem[8:]
			binary.LittleEndian.PutUint64(b, sent)
			sent++
			return batch.Train{Buf: b, Segment: 8}
		}
		n.outbox.trains = n.outbox.trains[:0]
		for range 1 + rand.N(40) {
			n.outbox.trains = append(n.outbox.trains, train())
		}
		n.entrust(append(n.courier.refs, ref))
		for end := time.Now().Add(rand.N(50 * time.Microsecond)); time.Now().Before(end); {
		}
		if rand.N(2) == 0 {
			if err := n.put([]batch.Train{train()}); err != nil {
				t.Fatal(err)
			}
		} else if err := n.takeOver(); err != nil {
			t.Fatal(err)
		}
		if n.pool.Live() != 0 {
			t.Fatal("memory is kept")
		}
		eventually(t, "all has come", func() bool {
			for i := range in {
				in[i].Buf = in[i].Buf[:cap(in[i].Buf)]
			}
			k, err := conns[1].RecvMulticast(in)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range in[:k] {
				for b := r.Buf; len(b) > 0; b = b[8:] {
					if k := binary.LittleEndian.Uint64(b); k != got {
						t.Fatalf("packet %d, want %d", k, got)
					}
					got++
				}
			}
			return got == sent
		})
	}
	n.dismiss()
	n.work.Wait()
	if n.stats.loop.SendErrors != 0 || n.stats.loop.SendCalls == 0 {
		t.Errorf("%d calls, %d errors", n.stats.loop.SendCalls, n.stats.loop.SendErrors)
	}
}

// TestCourierIsCalled by a node that sends much at once, once it is to try that. Whether it
// ever tries depends on the load: who is slow enough has never much to send.
func TestCourierIsCalled(t *testing.T) {
	nodes := openRing(t, 2, nil)
	if !nodes[0].courier.may {
		t.Skip("there is one processor: the loop does all itself")
	}
	nodes[0].mu.Lock()
	nodes[0].courier.trial = trial{with: true, left: 1 << 30}
	nodes[0].mu.Unlock()
	groups := joinAll(t, nodes, "much", func(int) Handler { return HandlerFunc(func(*Message) {}) })
	ctx := patient(t)
	eventually(t, "the courier is called", func() bool {
		if err := groups[0].Send(ctx, FIFO, make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		nodes[0].mu.Lock()
		defer nodes[0].mu.Unlock()
		return nodes[0].courier.called != nil
	})
}
