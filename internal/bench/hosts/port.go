package hosts

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// port is one that nobody else is given meanwhile, UDP and TCP.
type port struct {
	number int
	tcp    net.Listener
	udp    net.PacketConn
}

// tries is how many ports free for TCP may be taken for UDP.
const tries = 16

func reserve(addr netip.Addr) (p port, err error) {
	for range tries {
		if p.tcp, err = net.Listen("tcp", netip.AddrPortFrom(addr, 0).String()); err != nil {
			break
		}
		if p.udp, err = net.ListenPacket("udp", p.tcp.Addr().String()); err == nil {
			p.number = p.tcp.Addr().(*net.TCPAddr).Port
			return p, nil
		}
		_ = p.tcp.Close() // it was not used
	}
	return port{}, fmt.Errorf("a free port on %v: %w", addr, err)
}

// release frees the port. It may be called again.
func (p *port) release() error {
	if p.tcp == nil {
		return nil
	}
	err := errors.Join(p.tcp.Close(), p.udp.Close())
	*p = port{}
	return err
}
