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

const (
	resolveEvery = 5 * time.Second
	maxSeeds     = 64 // addresses that names may stand for
)

// start resolves the names now and again: an address may come to a name later.
func (s *seeds) start(names []string, log *slog.Logger) {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	if len(names) == 0 {
		return
	}
	s.done.Go(func() {
		for ctx.Err() == nil {
			s.resolve(ctx, names, log)
			select {
			case <-ctx.Done():
			case <-time.After(resolveEvery):
			}
		}
	})
}

func (s *seeds) resolve(ctx context.Context, names []string, log *slog.Logger) {
	var list []batch.Addr
	for _, name := range names {
		host, text, _ := net.SplitHostPort(name) // checked in validate, like the port
		port, _ := strconv.ParseUint(text, 10, 16)
		ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", host)
		if err != nil && ctx.Err() == nil {
			log.Warn("a seed cannot be resolved", "seed", name, "error", err)
		}
		slices.SortFunc(ips, netip.Addr.Compare)
		for _, ip := range ips[:min(len(ips), maxSeeds)] {
			list = append(list, batch.MakeAddr(netip.AddrPortFrom(ip.Unmap(), uint16(port))))
		}
	}
	s.addrs.Store(&list)
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
