package netlab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// settleTime bounds how long the kernel may take to put an interface into
// operation; it does so within a second even when it is in no hurry.
const settleTime = 10 * time.Second

// Lab is a switch with hosts. Its methods may be called from any goroutine, but
// not during or after Close.
type Lab struct {
	bridge netns.NsHandle
	hosts  []netns.NsHandle
}

// New makes n hosts, 1 to MaxHosts, whose interfaces have the given MTU in
// bytes. Host i has the address Addr(i). The switch floods multicast. The error
// is ErrUnavailable where there are no namespaces to be had.
func New(n, mtu int) (*Lab, error) {
	if n < 1 || n > MaxHosts {
		return nil, fmt.Errorf("netlab: %d hosts: want 1 to %d", n, MaxHosts)
	}
	if err := knowable(n, neighbours); err != nil {
		return nil, err
	}
	l := &Lab{bridge: netns.None()}
	if err := l.build(n, mtu); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// neighbours is where the kernel tells how many hardware addresses it keeps, those of all
// namespaces together.
const neighbours = "/proc/sys/net/ipv4/neigh/default/gc_thresh3"

// knowable returns an error if so many hosts cannot all know each other: what they send to
// those whom they do not is lost, and nobody is told. file is neighbours, but for tests.
func knowable(n int, file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil // only the first namespace has it
	}
	most, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if want := n * (n - 1); err == nil && most < want {
		return fmt.Errorf("netlab: %d hosts that know each other are %d neighbours, and the kernel keeps %d: fewer hosts, or as root: sysctl -w net.ipv4.neigh.default.gc_thresh3=%d",
			n, want, most, 2*want)
	}
	return nil
}

// Do runs f inside host i, from 0, with the calling goroutine locked to its
// thread. Sockets that f opens and processes that it starts are the host's, and
// stay so; goroutines that it starts are not inside.
func (l *Lab) Do(i int, f func() error) error {
	if i < 0 || i >= len(l.hosts) {
		return fmt.Errorf("netlab: host %d: want 0 to %d", i, len(l.hosts)-1)
	}
	return inside(l.hosts[i], f)
}

// Plug connects host i, from 0, with the switch, or pulls its cable: what either
// side sends is then lost, and neither is told more than that there is no carrier.
func (l *Lab) Plug(i int, in bool) error {
	if i < 0 || i >= len(l.hosts) {
		return fmt.Errorf("netlab: host %d: want 0 to %d", i, len(l.hosts)-1)
	}
	h, err := netlink.NewHandleAt(l.bridge)
	if err != nil {
		return fmt.Errorf("netlab: netlink in the switch: %w", err)
	}
	defer h.Close()
	if in {
		if err := up(h, portName(i)); err != nil {
			return fmt.Errorf("netlab: host %d: %w", i, err)
		}
		return awaitUp(h, portName(i))
	}
	port, err := h.LinkByName(portName(i))
	if err == nil {
		err = h.LinkSetDown(port)
	}
	if err != nil {
		return fmt.Errorf("netlab: host %d: %w", i, err)
	}
	return nil
}

// Narrow sets the MTU in bytes of the switch's port to host i, from 0: the middle
// of the network then carries less than its ends know.
func (l *Lab) Narrow(i, mtu int) error {
	if i < 0 || i >= len(l.hosts) {
		return fmt.Errorf("netlab: host %d: want 0 to %d", i, len(l.hosts)-1)
	}
	h, err := netlink.NewHandleAt(l.bridge)
	if err != nil {
		return fmt.Errorf("netlab: netlink in the switch: %w", err)
	}
	defer h.Close()
	port, err := h.LinkByName(portName(i))
	if err == nil {
		err = h.LinkSetMTU(port, mtu)
	}
	if err != nil {
		return fmt.Errorf("netlab: host %d: MTU %d: %w", i, mtu, err)
	}
	return nil
}

// Close lets go of the namespaces. The kernel removes each once no socket and no
// process is left in it.
func (l *Lab) Close() error {
	var errs []error
	for _, ns := range append(l.hosts, l.bridge) {
		if ns.IsOpen() {
			errs = append(errs, ns.Close())
		}
	}
	l.hosts, l.bridge = nil, netns.None()
	return errors.Join(errs...)
}

func (l *Lab) build(n, mtu int) (err error) {
	if l.bridge, err = newNamespace(); err != nil {
		return err
	}
	h, err := netlink.NewHandleAt(l.bridge)
	if err != nil {
		return fmt.Errorf("netlab: netlink in the switch: %w", err)
	}
	defer h.Close()
	snooping := false
	br := &netlink.Bridge{LinkAttrs: attrs("br0", mtu), MulticastSnooping: &snooping}
	if err := errors.Join(h.LinkAdd(br), up(h, "lo"), up(h, "br0")); err != nil {
		return fmt.Errorf("netlab: bridge: %w", err)
	}
	for i := range n {
		if err := l.addHost(h, br, i, mtu); err != nil {
			return fmt.Errorf("netlab: host %d: %w", i, err)
		}
	}
	for i := range n {
		if err := awaitUp(h, portName(i)); err != nil {
			return err
		}
	}
	return nil
}

// awaitUp waits until an interface that was set up is in operation. The kernel
// gets round to that later, and a bridge forwards nothing until then.
func awaitUp(h *netlink.Handle, name string) error {
	for deadline := time.Now().Add(settleTime); ; time.Sleep(time.Millisecond) {
		link, err := h.LinkByName(name)
		if err != nil {
			return fmt.Errorf("netlab: %s: %w", name, err)
		}
		state := link.Attrs().OperState
		if state == netlink.OperUp {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("netlab: %s is %v after %v, want %v", name, state, settleTime, netlink.OperUp)
		}
	}
}

func portName(i int) string { return fmt.Sprintf("p%d", i) }

// addHost makes a namespace and plugs it into the switch.
func (l *Lab) addHost(bridge *netlink.Handle, br *netlink.Bridge, i, mtu int) error {
	ns, err := newNamespace()
	if err != nil {
		return err
	}
	l.hosts = append(l.hosts, ns)
	port := &netlink.Veth{LinkAttrs: attrs(portName(i), mtu),
		PeerName: Interface, PeerNamespace: netlink.NsFd(ns), PeerMTU: uint32(mtu)}
	port.MasterIndex = br.Index
	if err := errors.Join(bridge.LinkAdd(port), up(bridge, port.Name)); err != nil {
		return err
	}
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		return err
	}
	defer h.Close()
	return configure(h, Addr(i))
}

// configure brings a host's interfaces up, with an address and a multicast route.
func configure(h *netlink.Handle, addr netip.Addr) error {
	if err := errors.Join(up(h, "lo"), up(h, Interface)); err != nil {
		return err
	}
	eth, err := h.LinkByName(Interface)
	if err != nil {
		return err
	}
	_, groups, err := net.ParseCIDR("224.0.0.0/4")
	if err != nil {
		return err
	}
	return errors.Join(
		h.AddrAdd(eth, &netlink.Addr{IPNet: &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(24, 32)}}),
		h.RouteAdd(&netlink.Route{LinkIndex: eth.Attrs().Index, Dst: groups, Scope: netlink.SCOPE_LINK}),
	)
}

func attrs(name string, mtu int) netlink.LinkAttrs {
	a := netlink.NewLinkAttrs()
	a.Name, a.MTU = name, mtu
	return a
}

func up(h *netlink.Handle, name string) error {
	link, err := h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return h.LinkSetUp(link)
}

// newNamespace makes a namespace without entering it.
func newNamespace() (ns netns.NsHandle, err error) {
	ns = netns.None()
	err = restoring(func() error {
		ns, err = netns.New()
		if errors.Is(err, unix.EPERM) {
			return ErrUnavailable
		}
		return err
	})
	return ns, err
}

func inside(ns netns.NsHandle, f func() error) error {
	return restoring(func() error {
		if err := netns.Set(ns); err != nil {
			return fmt.Errorf("netlab: enter namespace: %w", err)
		}
		return f()
	})
}

// restoring runs f, which may change the thread's namespace, on a locked thread
// and changes it back. A thread that cannot go back stays locked, so that it
// ends with its goroutine instead of running others in the wrong place.
func restoring(f func() error) (err error) {
	runtime.LockOSThread()
	home, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("netlab: current namespace: %w", err)
	}
	defer func() {
		back := netns.Set(home)
		if back == nil {
			runtime.UnlockOSThread()
		}
		err = errors.Join(err, back, home.Close())
	}()
	return f()
}
