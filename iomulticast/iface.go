package iomulticast

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// nic is the interface to use and the address on it to send from.
type nic struct {
	net.Interface
	addr netip.Addr
}

// findInterface looks an interface up by name or by one of its IPv4 addresses.
func findInterface(want string) (nic, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nic{}, fmt.Errorf("iomulticast: list interfaces: %w", err)
	}
	if want == "" {
		return nic{}, fmt.Errorf("iomulticast: %w: Interface is empty, want a name or an address; there are %s",
			ErrInterface, describe(all))
	}
	addr, _ := netip.ParseAddr(want)
	for _, i := range all {
		for _, a := range addrs(i) {
			if i.Name == want && a.Is4() || addr.IsValid() && a == addr {
				return usable(nic{i, a}, want)
			}
		}
		if i.Name == want {
			return nic{}, fmt.Errorf("iomulticast: interface %q: %w: it has no IPv4 address", want, ErrInterface)
		}
	}
	return nic{}, fmt.Errorf("iomulticast: interface %q: %w: not found, there are %s", want, ErrInterface, describe(all))
}

func usable(n nic, want string) (nic, error) {
	if !n.addr.Is4() {
		return nic{}, fmt.Errorf("iomulticast: interface %q: %w: want an IPv4 address", want, ErrInterface)
	}
	if n.Flags&net.FlagUp == 0 {
		return nic{}, fmt.Errorf("iomulticast: interface %q: %w: it is down", want, ErrInterface)
	}
	// The loopback interface carries multicast without claiming to.
	if n.Flags&(net.FlagMulticast|net.FlagLoopback) == 0 {
		return nic{}, fmt.Errorf("iomulticast: interface %q: %w: it does not carry multicast", want, ErrInterface)
	}
	return n, nil
}

// addrs returns an interface's addresses; what cannot be read is left out.
func addrs(i net.Interface) (list []netip.Addr) {
	as, err := i.Addrs()
	if err != nil {
		return nil
	}
	for _, a := range as {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			list = append(list, p.Addr().Unmap())
		}
	}
	return list
}

// describe lists interfaces with their IPv4 addresses, for a person to choose from.
func describe(all []net.Interface) string {
	var parts []string
	for _, i := range all {
		for _, a := range addrs(i) {
			if a.Is4() {
				parts = append(parts, fmt.Sprintf("%s (%v)", i.Name, a))
			}
		}
	}
	if len(parts) == 0 {
		return "none with an IPv4 address"
	}
	return strings.Join(parts, ", ")
}
