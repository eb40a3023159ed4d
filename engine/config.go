package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"

	"cohort/core"
	"cohort/iomulticast"
	"cohort/membership"
	"cohort/order"
	"cohort/wire"

	"github.com/cespare/xxhash/v2"
)

// Level is what a message is promised; see package order.
type Level = order.Level

// The three orders. Each has a Safe and a SafeAll form: Total.Safe() is gbcast.
const (
	FIFO   = order.FIFO   // fbcast: in the sender's order
	Causal = order.Causal // cbcast: after all that its sender had delivered or sent
	Total  = order.Total  // abcast: at the same place in one order everywhere
)

// MaxMessage is the largest payload, bytes.
const MaxMessage = core.MaxMessage

// Errors. They come wrapped in one that says more.
var (
	ErrClosed     = errors.New("node is closed")
	ErrWouldBlock = errors.New("no room for the message now")
	ErrTooLarge   = errors.New("message too large")
	ErrLevel      = errors.New("no such level")
	ErrConfig     = errors.New("bad configuration")
	ErrNotMember  = errors.New("not a member of the group")
	ErrNoView     = errors.New("no view has formed")
)

// Config says which ring a node belongs to and how it reaches it. Only Interface
// must be set.
type Config struct {
	Cluster   string         // name of the ring: nodes of others are not heard. Default "cohort"
	Name      string         // this member's, for people; at most 64 bytes. Default host:pid
	Interface string         // by name ("lo") or by address. Required
	Group     netip.AddrPort // multicast group and port. Default: derived from Cluster, in 239.255.0.0/16
	TTL       int            // how many routers multicast may pass plus one. Default 1
	Expect    int            // members of the first view, 1 to 64. Default 1

	Trains     iomulticast.Trains // Auto, or Off for kernels and cards that mangle them
	Segment    int                // largest packet, bytes of UDP payload. Default: from the interface's MTU
	RecvBuffer int                // kernel memory per socket, bytes. Default: as much as the system grants
	SubmitRing int                // bytes of messages that wait to be sent. Default 1 MiB
	HoldLimit  int                // bytes received and not delivered past which all senders pause. Default 32 MiB
	Spin       bool               // spin instead of sleeping: for machines with a core to spare per node

	Logger *slog.Logger       // Default slog.Default()
	Faults iomulticast.Faults // loses and repeats packets received, for tests. Default: none
}

const (
	defaultSubmitRing = 1 << 20
	minSubmitRing     = 1 << 14
)

// withDefaults fills in what is not set, or says what is wrong with what is.
func (c Config) withDefaults() (Config, error) {
	if c.Cluster == "" {
		c.Cluster = "cohort"
	}
	if c.Name == "" {
		host, _ := os.Hostname()
		c.Name = fmt.Sprintf("%.50s:%d", host, os.Getpid())
	}
	if !c.Group.IsValid() {
		h := xxhash.Sum64String(c.Cluster)
		addr := netip.AddrFrom4([4]byte{239, 255, byte(h), byte(h >> 8)})
		c.Group = netip.AddrPortFrom(addr, 20000+uint16(h>>16)%10000)
	}
	if c.Expect == 0 {
		c.Expect = 1
	}
	if c.SubmitRing == 0 {
		c.SubmitRing = defaultSubmitRing
	}
	if c.HoldLimit == 0 {
		c.HoldLimit = core.DefaultHoldLimit
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c, c.validate()
}

func (c Config) validate() error {
	switch {
	case c.Interface == "":
		return fmt.Errorf("engine: %w: Interface is empty, want a name such as \"eth0\" or \"lo\", or an address", ErrConfig)
	case len(c.Name) > membership.MaxName:
		return fmt.Errorf("engine: %w: Name has %d bytes, want at most %d", ErrConfig, len(c.Name), membership.MaxName)
	case c.Expect < 1 || c.Expect > membership.MaxMembers:
		return fmt.Errorf("engine: %w: Expect is %d, want 1 to %d", ErrConfig, c.Expect, membership.MaxMembers)
	case c.SubmitRing < minSubmitRing:
		return fmt.Errorf("engine: %w: SubmitRing is %d bytes, want at least %d", ErrConfig, c.SubmitRing, minSubmitRing)
	case c.Segment != 0 && c.Segment < wire.MinSegment(c.Expect):
		return fmt.Errorf("engine: %w: Segment is %d bytes, want at least %d for %d members", ErrConfig, c.Segment, wire.MinSegment(c.Expect), c.Expect)
	case c.HoldLimit < 1<<20:
		return fmt.Errorf("engine: %w: HoldLimit is %d bytes, want at least %d", ErrConfig, c.HoldLimit, 1<<20)
	}
	return nil
}

// clusterID is the cluster's name as packets carry it.
func (c Config) clusterID() uint32 { return uint32(xxhash.Sum64String(c.Cluster)) }
