//go:build !linux

package doctor

import (
	"errors"
	"fmt"
	"net/netip"
)

// canSize tells whether there can be a whole.
const canSize = false

// whole cannot exist on this system.
type whole struct{}

func openWhole(string, netip.Addr) (*whole, error) {
	return nil, fmt.Errorf("doctor: packets that are not fragmented: %w", errors.ErrUnsupported)
}

func (*whole) send([]byte, netip.AddrPort) error { return errors.ErrUnsupported }

func (*whole) close() {}

// refused is for what the system says to each packet; here all is an error.
func refused(error) bool { return false }
