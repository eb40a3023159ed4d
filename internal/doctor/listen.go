package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"cohort/iomulticast"
)

var errEnded = errors.New("ended the connection")

// Place is where to probe from.
type Place struct {
	Interface string
	Group     netip.AddrPort // also the port that the two ends talk at, over TCP
}

// open opens the engine's own sockets.
func (p Place) open() (*iomulticast.Conn, error) {
	return iomulticast.Open(iomulticast.Config{Interface: p.Interface, Group: p.Group})
}

// Listen waits at the interface's address for one peer, answers its probe, and
// returns its address. listening is told the address once others may come.
func Listen(ctx context.Context, p Place, listening func(netip.AddrPort)) (peer netip.AddrPort, err error) {
	conn, err := p.open()
	if err != nil {
		return peer, err
	}
	defer conn.Close()
	at := netip.AddrPortFrom(conn.Addr().Addr(), p.Group.Port())
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp4", at.String())
	if err != nil {
		return peer, fmt.Errorf("doctor: %w", err)
	}
	defer l.Close()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	listening(at)
	c, err := l.Accept()
	if err != nil {
		return peer, errors.Join(ctx.Err(), err)
	}
	stopTalk := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stopTalk()
	t := newTalk(c)
	defer c.Close()
	peer, err = answer(t, p, conn)
	if err != nil {
		_ = t.say(message{Error: err.Error()}) // it may be gone
	}
	return peer, errors.Join(ctx.Err(), err)
}

// answer does what the prober says until it ends the connection.
func answer(t *talk, p Place, conn *iomulticast.Conn) (peer netip.AddrPort, err error) {
	m, err := t.hear()
	if err != nil {
		return peer, err
	}
	h, err := t.greeted(m)
	if err != nil {
		return peer, err
	}
	if h.Group != p.Group {
		return h.Socket, fmt.Errorf("doctor: the prober's group is %v, this one's %v: give both the same --group", h.Group, p.Group)
	}
	if err := t.say(message{Hello: &hello{version, h.Secret, p.Group, conn.Addr(), canSize, conn.Features()}}); err != nil {
		return h.Socket, err
	}
	e := newEnd(conn, p.Group, h.Socket, h.Secret)
	for {
		m, err := t.hear()
		if errors.Is(err, errEnded) {
			return h.Socket, nil
		}
		if err != nil {
			return h.Socket, err
		}
		if m.Trial == nil {
			return h.Socket, unexpected(m, "a trial", nil)
		}
		if err := m.Trial.check(); err != nil {
			return h.Socket, err
		}
		if err := t.answerTrial(e, *m.Trial); err != nil {
			return h.Socket, err
		}
	}
}

func (t *talk) answerTrial(e *end, trial Trial) error {
	if !trial.ToPeer {
		return t.transmit(e, trial)
	}
	tally, err := t.collect(e, trial)
	if err != nil {
		return err
	}
	return t.say(message{Tally: &tally})
}
