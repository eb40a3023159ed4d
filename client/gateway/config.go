package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"cohort/engine"
)

// ErrClosed is Serve's error once Close has been called.
var ErrClosed = errors.New("gateway is closed")

// Config says how clients are dealt with. All members of a group need the same
// MaxClients and Forget. The zero Config is good.
type Config struct {
	MaxClients  int           // of a group, whichever member they are connected to. Default 65536
	Connections int           // of this gateway at a time. Default 4096
	Forget      time.Duration // after which a client that no member hears of is forgotten, 1 s or more. Default 2 min
	Logger      *slog.Logger  // Default slog.Default()
}

const (
	defaultClients     = 1 << 16
	defaultConnections = 1 << 12
	defaultForget      = 2 * time.Minute
	minForget          = time.Second

	// forgetTicks is how many ticks of a group's clock Config.Forget is divided into.
	forgetTicks = 8

	helloTimeout = time.Second

	// lostAfter is how many of a client's signs of life must be missing for the
	// gateway to end its connection. It costs little to keep one that is gone.
	lostAfter = 40

	// maxWaiting is how many bytes may wait for a client that does not take them.
	maxWaiting = 64 << 20
)

func (c Config) withDefaults() (Config, error) {
	if c.MaxClients == 0 {
		c.MaxClients = defaultClients
	}
	if c.Connections == 0 {
		c.Connections = defaultConnections
	}
	if c.Forget == 0 {
		c.Forget = defaultForget
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	switch {
	case c.MaxClients < 0:
		return c, fmt.Errorf("gateway: %w: MaxClients is %d, want 1 or more", engine.ErrConfig, c.MaxClients)
	case c.Connections < 0:
		return c, fmt.Errorf("gateway: %w: Connections is %d, want 1 or more", engine.ErrConfig, c.Connections)
	case c.Forget < minForget:
		return c, fmt.Errorf("gateway: %w: Forget is %v, want at least %v", engine.ErrConfig, c.Forget, minForget)
	}
	return c, nil
}
