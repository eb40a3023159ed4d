// Package netlab makes a small network out of network namespaces: hosts on one
// switch, for tests and measurements that want a real interface and MTU without
// leaving the machine. It needs CAP_SYS_ADMIN and CAP_NET_ADMIN. The namespaces
// have no names: when the Lab is closed, or its process ends, nothing is left.
package netlab

import (
	"errors"
	"net/netip"
)

// Interface is the name of every host's interface to the switch.
const Interface = "eth0"

// MaxHosts is how many hosts fit into the labs' subnet, 198.18.0.0/24, which is
// set aside for measurements (RFC 2544).
const MaxHosts = 254

// ErrUnavailable says that there can be no namespaces: the system has none, or
// this process may not make them.
var ErrUnavailable = errors.New("netlab: network namespaces need Linux and root (CAP_SYS_ADMIN and CAP_NET_ADMIN)")

// Addr returns the address of host i, from 0: 198.18.0.1 and up.
func Addr(i int) netip.Addr { return netip.AddrFrom4([4]byte{198, 18, 0, byte(i + 1)}) }
