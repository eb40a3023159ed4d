package iomulticast

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"cohort/batch"
)

// TestNoDropsOfItsOwn: what a node sends on one thread while it receives on another is
// not taken for dropped, though the kernel counts it before Send has returned.
func TestNoDropsOfItsOwn(t *testing.T) {
	cfg := Config{Interface: "lo", Group: netip.MustParseAddrPort("239.255.77.13:7713")}
	var c [2]*Conn
	for i := range c {
		var err error
		if c[i], err = Open(cfg); err != nil {
			t.Fatal(err)
		}
		defer c[i].Close()
	}
	buf := make([]byte, 65472)
	stop := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			trains := make([]batch.Train, 8)
			for i := range trains {
				trains[i] = batch.Train{Buf: buf, Segment: 1472}
			}
			if _, err := c[0].Send(trains); err != nil {
				_ = c[0].WaitWritable(time.Millisecond)
			}
			time.Sleep(20 * time.Microsecond)
		}
	})
	in := make([]batch.Train, 16)
	for i := range in {
		in[i].Buf = make([]byte, 1<<16)
	}
	got, drops := 0, uint64(0)
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		for i := range in {
			in[i].Buf = in[i].Buf[:1<<16]
		}
		_, _ = c[1].Send([]batch.Train{{Buf: buf[:100], Segment: 100}}) // another node
		n, err := c[0].RecvMulticast(in)
		if err != nil {
			t.Fatal(err)
		}
		got += n
		drops = c[0].Drops()
	}
	close(stop)
	work.Wait()
	if drops > 0 {
		t.Errorf("%d drops are counted, though all that was sent to this node was read at once (%d)", drops, got)
	}
}
