// Package freeport finds ports that whoever is told of them can still open a moment later.
package freeport

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
)

const (
	// Below what Linux (32768), Darwin and Windows (49152) hand out to who names no
	// port: one of theirs is taken by any program's next connection, as soon as it is
	// let go, and one that is free for UDP is often taken for TCP.
	lowest, above = 16384, 32768

	tries = 64
)

// Port is one that nobody else opens meanwhile, as both UDP and TCP.
type Port struct {
	Number int
	TCP    net.Listener
	UDP    net.PacketConn
}

// Reserve opens a free port of a local address. The error is that of the last of many tries.
func Reserve(addr netip.Addr) (*Port, error) {
	var err error
	for range tries {
		at := netip.AddrPortFrom(addr, uint16(lowest+rand.N(above-lowest)))
		p := &Port{Number: int(at.Port())}
		if p.TCP, err = net.Listen("tcp", at.String()); err != nil {
			continue
		}
		if p.UDP, err = net.ListenPacket("udp", at.String()); err == nil {
			return p, nil
		}
		_ = p.TCP.Close() // it was not used
	}
	return nil, fmt.Errorf("a free port on %v: %w", addr, err)
}

// Release frees the port. It may be called again, and of nil.
func (p *Port) Release() error {
	if p == nil || p.TCP == nil {
		return nil
	}
	err := errors.Join(p.TCP.Close(), p.UDP.Close())
	p.TCP, p.UDP = nil, nil
	return err
}

// Addresses returns n different ones of 127.0.0.1 that nobody uses now, for UDP or TCP.
func Addresses(n int) (list []string, err error) {
	for range n {
		p, err := Reserve(netip.AddrFrom4([4]byte{127, 0, 0, 1}))
		if err != nil {
			return nil, err
		}
		defer p.Release() // only then: each is another
		list = append(list, p.TCP.Addr().String())
	}
	return list, nil
}
