package iomulticast

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"cohort/batch"
)

var nextPort atomic.Uint32

// testGroup returns a group that no other test uses.
func testGroup() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{239, 255, 77, 7}), uint16(20000+nextPort.Add(1)))
}

// loConfig is a configuration on the loopback interface, by whatever name.
func loConfig(tb testing.TB) Config {
	tb.Helper()
	return Config{Interface: "127.0.0.1", Group: testGroup()}
}

// openers are the kinds of sockets that tests run over.
var openers = map[string]func(Config, nic) (link, error){
	"system":   openLink,
	"portable": openPortable,
}

func mustOpen(tb testing.TB, cfg Config) *Conn {
	tb.Helper()
	return mustOpenLink(tb, cfg, openLink)
}

func mustOpenLink(tb testing.TB, cfg Config, openLink func(Config, nic) (link, error)) *Conn {
	tb.Helper()
	c, err := open(cfg, openLink)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

// buffers returns n trains with room for anything.
func buffers(n int) []batch.Train {
	t := make([]batch.Train, n)
	for i := range t {
		t[i].Buf = make([]byte, 1<<16)
	}
	return t
}

// pattern returns a train whose every packet begins with its number.
func pattern(size, segment int) batch.Train {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i%segment) ^ byte(i/segment)
	}
	return batch.Train{Buf: b, Segment: segment}
}

// packets splits trains into packets, copied.
func packets(trains []batch.Train) (list []string) {
	for _, t := range trains {
		for b := t.Buf; len(b) > 0; {
			n := min(t.Segment, len(b))
			list = append(list, string(b[:n]))
			b = b[n:]
		}
	}
	return list
}

type recv func([]batch.Train) (int, error)

// gather receives until want packets are there or a second has passed.
func gather(c *Conn, r recv, want int) (list []string, trains int, err error) {
	for deadline := time.Now().Add(time.Second); len(list) < want; {
		if time.Now().After(deadline) {
			return list, trains, fmt.Errorf("%d packets came, want %d", len(list), want)
		}
		t := buffers(8)
		n, err := r(t)
		if err != nil {
			return list, trains, err
		}
		list = append(list, packets(t[:n])...)
		trains += n
		if n == 0 {
			if err := c.Wait(10 * time.Millisecond); err != nil {
				return list, trains, err
			}
		}
	}
	return list, trains, nil
}
