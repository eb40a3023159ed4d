// Package control is the connections of the control plane: one reliable
// connection, TCP or TLS, between each two nodes that deal with each other, for
// letters of up to 16 MiB, and separate stream connections for bulk state. All
// come in at one listener.
//
// The package moves bytes and reports; it decides nothing. A loop calls Dial,
// Send and Hangup, which never block, and takes what has happened from Poll.
// A process that dies is noticed at once, because its kernel closes its
// connections.
package control

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime/pprof"
	"time"

	"cohort/internal/frame"
)

// MaxFrame is the largest letter, bytes.
const MaxFrame = 16 << 20

// MaxHello is the largest first message of a stream connection, bytes.
const MaxHello = 4 << 10

// MaxBacklog is how much may wait to be written to one peer, and about how much
// that one peer sent may wait for Poll, bytes: a few of the largest letters.
const MaxBacklog = 64 << 20

const (
	// letterOverhead is counted with each letter that waits, bytes, so that many
	// empty ones are bounded too.
	letterOverhead = 64

	// maxHandshakes is how many connections that came in may be in their handshake.
	maxHandshakes = 256

	dialTimeout      = time.Second
	handshakeTimeout = time.Second
	hangupTimeout    = 200 * time.Millisecond
	closeTimeout     = 100 * time.Millisecond
	drainTimeout     = 100 * time.Millisecond

	// unansweredTimeout is how long a letter may remain unacknowledged by the
	// peer's kernel: while one is, keepAlive does not probe, and the system would
	// try for a quarter of an hour. It counts too while a peer has no room because
	// it does not Poll. Streams, whose readers may take their time, are not bound.
	unansweredTimeout = 4 * time.Second
)

// Errors. They come wrapped in one that names the value at fault.
var (
	ErrConfig   = errors.New("bad configuration")
	ErrClosed   = errors.New("mesh is closed")
	ErrTooLarge = frame.ErrTooLarge
	ErrBacklog  = errors.New("too much waits to be sent")
	ErrReplaced = errors.New("replaced by a newer connection of the same peer")
	ErrProtocol = errors.New("not the protocol of the control plane")
	ErrVersion  = errors.New("another version of the protocol")
	ErrCluster  = errors.New("another cluster")
	ErrIdentity = errors.New("another identity")
	ErrKind     = errors.New("connections of this kind are not taken")
	ErrStale    = errors.New("refused in favour of another connection")
)

// Config says where to listen and whom to talk to. Only Listen must be set.
type Config struct {
	Listen  netip.AddrPort // local address; port 0 takes any. Dialling starts from this address too
	Cluster uint32         // connections of other clusters are refused

	// TLS is used for both sides; nil is plain TCP. With ClientAuth set to
	// tls.RequireAndVerifyClientCert both sides prove themselves. An empty
	// ServerName stands for the IP address that is dialled.
	TLS *tls.Config

	// Wake is called, from any goroutine, after an event has been posted to an
	// empty list. It must not block, nor call the Mesh. Default: nothing.
	Wake func()

	// Stream is called on a goroutine of its own for each stream connection that
	// comes in, with the dialler's hello, which it may keep. It owns the
	// connection, which Mesh.Close closes too; Mesh.Close waits for Stream to
	// return. Default: streams are refused.
	Stream func(hello []byte, conn net.Conn)

	Logger *slog.Logger // Default slog.Default()

	// Labels are on the mesh's goroutines in profiles, with the label RoleLabel.
	Labels pprof.LabelSet
}

// RoleLabel is the key of the pprof label that tells what a goroutine does: accept,
// handshake, dial, reader, writer or hangup, each after "control-". One that calls
// Config.Stream is a handshake.
const RoleLabel = "cohort_role"

func (c Config) withDefaults() (Config, error) {
	if !c.Listen.IsValid() {
		return c, fmt.Errorf("control: %w: Listen is %v, want an IP address and a port", ErrConfig, c.Listen)
	}
	if c.Wake == nil {
		c.Wake = func() {}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c, nil
}

// EventKind says what has happened.
type EventKind uint8

const (
	Connected    EventKind = iota + 1 // Send reaches Peer from now on
	Disconnected                      // it no longer does, or dialling it failed; Err says why
	Received                          // Peer sent Body
)

// Event is something that has happened.
type Event struct {
	Kind EventKind
	Peer uint64
	Body []byte // of Received; the caller's to keep
	Err  error  // of Disconnected
}
