package client

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"

	"cohort/client/session"
	"cohort/engine"
	"cohort/groups"
)

// Errors. They come wrapped in one that says more; those of package engine that say what
// is wrong with a message (ErrTooLarge, ErrLevel, ErrConfig, ErrNoReply) mean the same here.
var (
	ErrClosed = errors.New("client is closed")

	// ErrForgotten ends a client that no member has heard of for longer than the members'
	// Forget, or whose group has begun anew. What was not acknowledged may or may not have
	// been applied.
	ErrForgotten = errors.New("the group does not know this client any more")
)

// errNoContext is for a context that is nil; see package engine.
var errNoContext = fmt.Errorf("client: %w: the context is nil, want one such as context.Background()", engine.ErrConfig)

// Config says which members a client may use, and for which groups. Only Members and
// Groups must be set.
type Config struct {
	Members []string      // addresses, "host:port", of members that serve clients, in any order
	Groups  []string      // that the client uses, 1 to 64: the member that it is connected to must be in all of them
	TLS     *tls.Config   // Default: plain TCP
	Timeout time.Duration // a member that is silent for so long is given up for another, 20 ms to 1 min. Default 500 ms
	Buffer  int           // bytes of messages that are not acknowledged, and of all after the first question that is not answered; one message always fits. Default 8 MiB
	Logger  *slog.Logger  // Default slog.Default()
}

const (
	defaultTimeout = 500 * time.Millisecond
	defaultBuffer  = 8 << 20
	minTimeout     = time.Duration(beatsPerTimeout * session.MinBeat)
	maxTimeout     = time.Duration(session.MaxBeat)

	beatsPerTimeout = 4 // signs of life of a member in Config.Timeout
	beatsPerOurs    = 8 // of a member for one of ours: that is in less of a hurry

	// stallFactor times Config.Timeout is how long a member may show life and yet not
	// acknowledge anything, before another is tried.
	stallFactor = 10

	firstPause = 50 * time.Millisecond // after all members have been tried in vain
	maxPause   = time.Second

	closeDrain = time.Second // how long Close waits for acknowledgements
)

func (c Config) withDefaults() (Config, error) {
	c.Members, c.Groups = slices.Clone(c.Members), slices.Clone(c.Groups) // used as long as the client lives
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Buffer == 0 {
		c.Buffer = defaultBuffer
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	switch {
	case len(c.Members) == 0:
		return c, fmt.Errorf("client: %w: Members is empty, want addresses \"host:port\"", engine.ErrConfig)
	case len(c.Groups) == 0 || len(c.Groups) > session.MaxGroups:
		return c, fmt.Errorf("client: %w: %d Groups, want 1 to %d", engine.ErrConfig, len(c.Groups), session.MaxGroups)
	case c.Timeout < minTimeout || c.Timeout > maxTimeout:
		return c, fmt.Errorf("client: %w: Timeout is %v, want %v to %v", engine.ErrConfig, c.Timeout, minTimeout, maxTimeout)
	case c.Buffer < 0:
		return c, fmt.Errorf("client: %w: Buffer is %d bytes, want 0 or more", engine.ErrConfig, c.Buffer)
	}
	for _, m := range c.Members {
		if _, _, err := net.SplitHostPort(m); err != nil {
			return c, fmt.Errorf("client: %w: member %q: want \"host:port\": %w", engine.ErrConfig, m, err)
		}
	}
	seen := map[string]bool{}
	for _, g := range c.Groups {
		if g == "" || len(g) > groups.MaxName || seen[g] {
			return c, fmt.Errorf("client: %w: group %q: want 1 to %d bytes, and each group once", engine.ErrConfig, g, groups.MaxName)
		}
		seen[g] = true
	}
	return c, nil
}
