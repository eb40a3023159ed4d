package engine

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"cohort/batch"
)

// seeds are the addresses where others may be, beside whoever hears multicast.
type seeds struct {
	addrs  atomic.Pointer[[]batch.Addr]
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// Names are resolved now and again: an address may come to a name later, and often just
// after this process was started together with the others.
const (
	resolveSoon  = 250 * time.Millisecond
	resolveEvery = 5 * time.Second // up to this, doubling
	maxSeeds     = 64              // addresses that a name may stand for
)

// start begins to resolve the names.
func (s *seeds) start(names []string, log *slog.Logger) {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	if len(names) == 0 {
		return
	}
	list := make([]seed, len(names))
	for i, name := range names {
		host, text, _ := net.SplitHostPort(name) // checked in validate, like the port
		port, _ := strconv.ParseUint(text, 10, 16)
		list[i] = seed{name: name, host: host, port: uint16(port)}
	}
	s.done.Go(func() {
		for wait := resolveSoon; ctx.Err() == nil; wait = min(2*wait, resolveEvery) {
			s.resolve(ctx, list, log)
			select {
			case <-ctx.Done():
			case <-time.After(wait):
			}
		}
	})
}

// seed is one name and the addresses that it last stood for.
type seed struct {
	name, host string
	port       uint16
	addrs      []batch.Addr
	failing    bool // and it has been said
}

// resolve looks all names up. One that cannot be looked up now keeps its addresses.
func (s *seeds) resolve(ctx context.Context, names []seed, log *slog.Logger) {
	for i := range names {
		k := &names[i]
		ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", k.host)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !k.failing {
			log.Warn("a seed cannot be resolved", "seed", k.name, "error", err, "kept", len(k.addrs))
		}
		if k.failing = err != nil; err == nil {
			k.addrs = addresses(ips, k.port)
		}
		s.publish(names) // the next name may take long
	}
}

func (s *seeds) publish(names []seed) {
	var list []batch.Addr
	for i := range names {
		list = append(list, names[i].addrs...)
	}
	s.addrs.Store(&list)
}

// addresses lists the first maxSeeds of them, each once.
func addresses(ips []netip.Addr, port uint16) (list []batch.Addr) {
	slices.SortFunc(ips, netip.Addr.Compare)
	ips = slices.Compact(ips)
	for _, ip := range ips[:min(len(ips), maxSeeds)] {
		list = append(list, batch.MakeAddr(netip.AddrPortFrom(ip.Unmap(), port)))
	}
	return list
}

// list returns the addresses known now.
func (s *seeds) list() []batch.Addr {
	if p := s.addrs.Load(); p != nil {
		return *p
	}
	return nil
}

func (s *seeds) stop() {
	s.cancel()
	s.done.Wait()
}
