package doctor

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"time"

	"cohort/iomulticast"
)

// The two ends talk over TCP, in lines of JSON: the prober greets and is greeted,
// then says one trial after another. Who is to receive it says that it is ready
// before the other sends; who has sent it says so, and who has received it tells
// the tally.

const (
	version = 1
	maxLine = 8 << 10 // bytes
)

// message is one line. Fields that are not meant are left out.
type message struct {
	Hello *hello `json:"hello,omitempty"`
	Trial *Trial `json:"trial,omitempty"`
	Ready bool   `json:"ready,omitempty"`
	Sent  bool   `json:"sent,omitempty"`
	Tally *Tally `json:"tally,omitempty"`
	Error string `json:"error,omitempty"` // the sender of it gives up
}

// hello tells what an end has.
type hello struct {
	Version  int                  `json:"version"`
	Secret   uint64               `json:"secret"` // in all packets of this probe; the prober's choice
	Group    netip.AddrPort       `json:"group"`
	Socket   netip.AddrPort       `json:"socket"` // UDP, to send unicast to
	Sizes    bool                 `json:"sizes"`  // it can send packets that nobody may fragment
	Features iomulticast.Features `json:"features"`
}

// talk is one end of the TCP connection.
type talk struct {
	conn  net.Conn
	lines *bufio.Scanner
}

func newTalk(conn net.Conn) *talk {
	t := &talk{conn: conn, lines: bufio.NewScanner(conn)}
	t.lines.Buffer(nil, maxLine)
	return t
}

func (t *talk) say(m message) error {
	b, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("doctor: %w", err)
	}
	_ = t.conn.SetWriteDeadline(time.Now().Add(patience))
	if _, err := t.conn.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("doctor: %w", err)
	}
	return nil
}

// hear waits for the other's next word.
func (t *talk) hear() (m message, err error) {
	_ = t.conn.SetReadDeadline(time.Now().Add(patience))
	if !t.lines.Scan() {
		if err = t.lines.Err(); err == nil {
			err = errEnded
		}
		return m, fmt.Errorf("doctor: %v: %w", t.conn.RemoteAddr(), err)
	}
	if err := json.Unmarshal(t.lines.Bytes(), &m); err != nil {
		return m, fmt.Errorf("doctor: %v speaks otherwise than doctor --listen: %w", t.conn.RemoteAddr(), err)
	}
	if m.Error != "" {
		return m, fmt.Errorf("doctor: %v says: %.200q", t.conn.RemoteAddr(), m.Error)
	}
	return m, nil
}

// greeted checks the other's greeting. Packets are sent nowhere but to the
// address that the connection is with.
func (t *talk) greeted(m message) (*hello, error) {
	h := m.Hello
	if h == nil || h.Version != version {
		return nil, fmt.Errorf("doctor: %v greets with %+v: want version %d", t.conn.RemoteAddr(), h, version)
	}
	with, ok := t.conn.RemoteAddr().(*net.TCPAddr)
	if !ok || h.Socket.Addr() != with.AddrPort().Addr().Unmap() || h.Socket.Port() == 0 {
		return nil, fmt.Errorf("doctor: %v wants packets sent to %v: want its own address; is --interface the one that leads here?", t.conn.RemoteAddr(), h.Socket)
	}
	return h, nil
}

// transmit is the sending side of a trial.
func (t *talk) transmit(e *end, trial Trial) error {
	if m, err := t.hear(); err != nil || !m.Ready {
		return unexpected(m, "ready", err)
	}
	if err := e.send(trial); err != nil {
		return err
	}
	return t.say(message{Sent: true})
}

// collect is the receiving side of transmit.
func (t *talk) collect(e *end, trial Trial) (Tally, error) {
	if err := t.say(message{Ready: true}); err != nil {
		return Tally{}, err
	}
	sent, failed := make(chan struct{}), make(chan error, 1)
	go func() {
		m, err := t.hear()
		if err != nil || !m.Sent {
			err = unexpected(m, "sent", err)
		}
		failed <- err
		close(sent)
	}()
	tally, err := e.receive(trial, sent)
	if err != nil {
		_ = t.conn.Close() // ends the goroutine
		<-failed
		return tally, err
	}
	return tally, <-failed
}

// unexpected is the error of a word that does not fit.
func unexpected(m message, want string, err error) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("doctor: the peer says %+v: want %s", m, want)
}
