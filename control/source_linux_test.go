package control

import (
	"net"
	"net/netip"
	"testing"
)

// TestDialStartsFromListen: another address of lo than the one that the kernel
// would choose.
func TestDialStartsFromListen(t *testing.T) {
	t.Parallel()
	from := make(chan net.Addr, 1)
	a := open(t, 1, func(c *Config) { c.Listen = netip.MustParseAddrPort("127.0.0.2:0") })
	b := open(t, 2, func(c *Config) {
		c.Stream = func(_ []byte, conn net.Conn) {
			from <- conn.RemoteAddr()
			_ = conn.Close()
		}
	})
	mustStream(t, a, b, nil)
	if ip := (<-from).(*net.TCPAddr).IP.String(); ip != "127.0.0.2" {
		t.Errorf("the connection comes from %s, want 127.0.0.2", ip)
	}
}
