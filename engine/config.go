package engine

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"cohort/core"
	"cohort/iomulticast"
	"cohort/membership"
	"cohort/order"
	"cohort/process"
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
	ErrWouldBlock = errors.New("it would have to wait")
	ErrTooLarge   = errors.New("message too large")
	ErrLevel      = errors.New("no such level")
	ErrConfig     = errors.New("bad configuration")
	ErrNotMember  = errors.New("not a member of the group")
	ErrNoView     = errors.New("in no view")
	ErrNoQuorum   = errors.New("too few members of the view are left to go on")
	ErrExpelled   = errors.New("the ring has gone on without this node, which looks for a ring again")
	ErrNoReply    = errors.New("too few members are left to answer")
	ErrState      = errors.New("the group's state could not be had")
)

// errNoContext is for a context that is nil. It is looked for before anything is done: where it
// is first needed, a call may have to be taken back already.
var errNoContext = fmt.Errorf("engine: %w: the context is nil, want one such as context.Background()", ErrConfig)

// Config says which ring a node belongs to and how it reaches it. Only Interface
// must be set.
type Config struct {
	Cluster   string         // name of the ring: nodes of others are not heard. Default "cohort"
	Name      string         // this member's, for people; at most 64 bytes. Default host:pid
	Interface string         // by name ("lo") or by address. Required
	Group     netip.AddrPort // multicast group and port. Default: derived from Cluster, in 239.255.0.0/16
	TTL       int            // how many routers multicast may pass plus one. Default 1
	Port      int            // of the node's own UDP socket and of its TCP listener. Default: any

	// Expect is how many nodes there are to be, 0 to 64. A majority of them that have
	// found each other forms the first view, half a second after the rest has been
	// waited for; who comes later joins. Up to 1, for development: a node that hears
	// nobody for Discovery forms a view alone, others join it, and of two rings that
	// meet the lesser one dissolves into the other: its members lose their state.
	Expect    int
	Discovery time.Duration // Default 250 ms

	// Transport is how packets that are for all members travel: Auto by multicast, and
	// in copies by unicast to each member that says it does not hear it; Multicast by
	// multicast alone; Fanout by unicast to each, for networks without multicast. Members
	// may differ: each takes packets either way. Default Auto.
	Transport Transport

	// Seeds are more places to look for others than multicast reaches: "host:port",
	// where a name may stand for several addresses and the port is their Port.
	Seeds []string

	Timeout   time.Duration // a member that is silent for so long is expelled, 10 ms or more. Default 500 ms
	SlowLimit time.Duration // and one that makes senders wait for so long. Default: never

	// Lone has a node go on without a majority of the last view, for feeds where a
	// message now is worth more than one order for all. Both sides of a cut then go
	// on: each delivers what the other never sees, safe messages included, and when
	// they meet the lesser side loses its state. All members must agree on it.
	Lone bool

	TLS *tls.Config // for the control plane, both as client and server; see package control. Default: plain TCP

	Trains     iomulticast.Trains // Auto, or Off for kernels and cards that mangle them
	Segment    int                // largest packet, bytes of UDP payload. Default: from the interface's MTU
	RecvBuffer int                // kernel memory per socket, bytes. Default: as much as the system grants
	SubmitRing int                // bytes of messages that wait to be sent. Default 1 MiB
	HoldLimit  int                // bytes received and not delivered past which all senders pause. Default 32 MiB
	Spin       bool               // spin instead of sleeping: for machines with a core to spare per node

	// Recorder is a folder, made if it is not there, into which the node's flight recorder
	// is written when it fails, is expelled, or finds too few members left: the last 32
	// times. Default: it is not; Node.DumpRecorder writes it on demand.
	Recorder string

	Logger *slog.Logger       // of events, with the attributes cluster and node. Default slog.Default()
	Faults iomulticast.Faults // loses and repeats packets received, for tests. Default: none
}

const (
	defaultSubmitRing = 1 << 20
	minSubmitRing     = 1 << 14
	maxSubmitRing     = 1 << 30
	defaultTimeout    = 500 * time.Millisecond
	minTimeout        = 10 * time.Millisecond
	minDiscovery      = time.Millisecond
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
	if c.Group == (netip.AddrPort{}) { // a port alone is not taken for none
		h := xxhash.Sum64String(c.Cluster)
		addr := netip.AddrFrom4([4]byte{239, 255, byte(h), byte(h >> 8)})
		c.Group = netip.AddrPortFrom(addr, 20000+uint16(h>>16)%10000)
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Discovery == 0 {
		c.Discovery = process.DefaultDiscovery
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
	c.Logger = c.Logger.With("cluster", c.Cluster, "node", c.Name)
	return c, c.validate()
}

func (c Config) validate() error {
	switch {
	case c.Interface == "":
		return fmt.Errorf("engine: %w: Interface is empty, want a name such as \"eth0\" or \"lo\", or an address", ErrConfig)
	case len(c.Name) > membership.MaxName:
		return fmt.Errorf("engine: %w: Name has %d bytes, want at most %d", ErrConfig, len(c.Name), membership.MaxName)
	case c.Expect < 0 || c.Expect > membership.MaxMembers:
		return fmt.Errorf("engine: %w: Expect is %d, want 0 to %d", ErrConfig, c.Expect, membership.MaxMembers)
	case !c.Transport.Valid():
		return fmt.Errorf("engine: %w: Transport is %d, want Auto, Multicast or Fanout", ErrConfig, int(c.Transport))
	case c.Port < 0 || c.Port > 65535:
		return fmt.Errorf("engine: %w: Port is %d, want 0 to 65535", ErrConfig, c.Port)
	case c.Timeout < minTimeout:
		return fmt.Errorf("engine: %w: Timeout is %v, want at least %v", ErrConfig, c.Timeout, minTimeout)
	case c.Discovery < minDiscovery:
		return fmt.Errorf("engine: %w: Discovery is %v, want at least %v", ErrConfig, c.Discovery, minDiscovery)
	case c.SlowLimit < 0:
		return fmt.Errorf("engine: %w: SlowLimit is %v, want 0 or more", ErrConfig, c.SlowLimit)
	case c.SubmitRing < minSubmitRing || c.SubmitRing > maxSubmitRing:
		return fmt.Errorf("engine: %w: SubmitRing is %d bytes, want %d to %d", ErrConfig, c.SubmitRing, minSubmitRing, maxSubmitRing)
	case c.Segment != 0 && c.Segment < wire.MinSegment(max(c.Expect, 1)):
		return fmt.Errorf("engine: %w: Segment is %d bytes, want at least %d for %d members", ErrConfig, c.Segment, wire.MinSegment(max(c.Expect, 1)), max(c.Expect, 1))
	case c.HoldLimit < 1<<20:
		return fmt.Errorf("engine: %w: HoldLimit is %d bytes, want at least %d", ErrConfig, c.HoldLimit, 1<<20)
	}
	if c.Recorder != "" {
		if err := os.MkdirAll(c.Recorder, 0o755); err != nil {
			return fmt.Errorf("engine: %w: Recorder: %w", ErrConfig, err)
		}
	}
	for _, s := range c.Seeds {
		if _, port, err := net.SplitHostPort(s); err != nil || port == "" {
			return fmt.Errorf("engine: %w: seed %q, want \"host:port\"", ErrConfig, s)
		} else if k, err := strconv.ParseUint(port, 10, 16); err != nil || k == 0 {
			return fmt.Errorf("engine: %w: seed %q has port %q, want 1 to 65535", ErrConfig, s, port)
		}
	}
	return nil
}

// clusterID is the cluster's name as packets carry it.
func (c Config) clusterID() uint32 { return uint32(xxhash.Sum64String(c.Cluster)) }
