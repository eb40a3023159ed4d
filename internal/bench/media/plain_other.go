//go:build !unix

package media

import (
	"net/netip"

	"cohort/internal/bench/member"
)

func newPlain(string, netip.AddrPort, member.Sink) plain { return nil }
