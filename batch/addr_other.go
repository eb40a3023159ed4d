//go:build !linux

package batch

import "net/netip"

// sockaddr is not needed where packets leave through package net.
type sockaddr struct{}

func makeSockaddr(netip.AddrPort) sockaddr { return sockaddr{} }
