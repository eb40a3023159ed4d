package iomulticast

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Where a filter on a UDP socket finds things: offsets count from the UDP
// header, those from networkHeader on (SKF_NET_OFF) from the IP header.
const (
	networkHeader  = 1<<32 - 0x100000
	inet4SrcOffset = 12
	udpSrcOffset   = 0
)

// Verdicts of a filter: how many bytes of the packet to keep.
const (
	keepNone = 0
	keepAll  = 1<<32 - 1
)

// ownFilter is a classic BPF program that drops what this node sent itself. On
// a host with several nodes the port tells them apart. A train is one packet to
// it, whose headers are those of its first.
func ownFilter(own netip.AddrPort) []bpf.Instruction {
	ip := own.Addr().As4()
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: udpSrcOffset, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(own.Port()), SkipTrue: 3},
		bpf.LoadAbsolute{Off: networkHeader + inet4SrcOffset, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: binary.BigEndian.Uint32(ip[:]), SkipTrue: 1},
		bpf.RetConstant{Val: keepNone},
		bpf.RetConstant{Val: keepAll},
	}
}

// attachFilter makes the kernel drop, at the socket, what this node sent itself.
func attachFilter(fd int, own netip.AddrPort) Feature {
	raw, err := bpf.Assemble(ownFilter(own))
	if err != nil {
		return Feature{Why: err.Error()}
	}
	code := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		code[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	prog := &unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, prog); err != nil {
		return Feature{Why: "SO_ATTACH_FILTER: " + err.Error()}
	}
	return Feature{On: true}
}
