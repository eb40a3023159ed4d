//go:build unix

package media

import (
	"net/netip"

	"cohort/internal/bench/member"
	"cohort/internal/bench/raw"
)

func newPlain(iface string, group netip.AddrPort, sink member.Sink) plain {
	return raw.NewPlain(iface, group, sink)
}
