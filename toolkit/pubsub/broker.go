package pubsub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"cohort/engine"
)

// Config says how topics are mapped and what is kept. The zero value will do. All who
// publish to and subscribe from each other have the same Name, Groups and Prefix: with
// others they do not meet.
type Config struct {
	Name   string // of this space of topics, up to 64 bytes. Default "default"
	Groups int    // that the topics are mapped onto. Default 16
	Prefix int    // levels of a topic that say which group it is in. Default 1

	// History is how many of the last messages of each topic this process keeps, once it
	// is in the topic's group, for itself and for who joins later. Default: none.
	History int
	// HistoryBytes bounds what that takes, by group: past it the oldest messages are
	// forgotten. Default 64 MiB.
	HistoryBytes int

	// Keep has this process be a subscriber of all groups from the beginning to the end,
	// so that what is published before anybody subscribes is kept.
	Keep bool

	// Rules are levels of topics: of the first rule whose pattern matches. To publish
	// at another level there is an error. Other topics may have any.
	Rules []Rule
}

// Rule declares the level of the topics that match.
type Rule struct {
	Pattern string
	Level   engine.Level
}

// errNoContext is for a context that is nil; see package engine.
var errNoContext = fmt.Errorf("pubsub: %w: the context is nil, want one such as context.Background()", engine.ErrConfig)

const (
	defaultGroups       = 16
	maxGroups           = 1 << 16
	defaultHistoryBytes = 64 << 20
	maxName             = 64
)

func (c Config) withDefaults() (Config, error) {
	c.Rules = slices.Clone(c.Rules) // looked at as long as the broker lives
	if c.Name == "" {
		c.Name = "default"
	}
	if c.Groups == 0 {
		c.Groups = defaultGroups
	}
	if c.Prefix == 0 {
		c.Prefix = 1
	}
	if c.HistoryBytes == 0 {
		c.HistoryBytes = defaultHistoryBytes
	}
	switch {
	case len(c.Name) > maxName:
		return c, fmt.Errorf("pubsub: %w: Name has %d bytes, want at most %d", engine.ErrConfig, len(c.Name), maxName)
	case c.Groups < 0 || c.Groups > maxGroups:
		return c, fmt.Errorf("pubsub: %w: Groups is %d, want 1 to %d", engine.ErrConfig, c.Groups, maxGroups)
	case c.Prefix < 0:
		return c, fmt.Errorf("pubsub: %w: Prefix is %d, want at least 1", engine.ErrConfig, c.Prefix)
	case c.History < 0:
		return c, fmt.Errorf("pubsub: %w: History is %d, want 0 or more", engine.ErrConfig, c.History)
	case c.HistoryBytes < 0:
		return c, fmt.Errorf("pubsub: %w: HistoryBytes is %d, want 0 or more", engine.ErrConfig, c.HistoryBytes)
	}
	for _, r := range c.Rules {
		if err := checkPattern(r.Pattern); err != nil {
			return c, err
		}
		if !r.Level.Valid() {
			return c, fmt.Errorf("pubsub: %w: %v, of topics %q", engine.ErrLevel, r.Level, r.Pattern)
		}
	}
	return c, nil
}

// Broker is this process's part in a space of topics. Its methods may be called from any
// goroutine, but not inside a handler of the node.
type Broker struct {
	node   *engine.Node
	cfg    Config
	groups []*group
	left   atomic.Bool

	mu     sync.RWMutex
	topics map[string]published // that have been published to
	subs   map[*Sub]struct{}
}

// published is what a topic's name says.
type published struct {
	group *group
	rule  *Rule // nil: none
}

// Join returns the node's part in the space of topics that cfg names. With Keep it joins
// all groups, and where that fails leaves within a second more those that it had joined;
// else it joins none yet, and of ctx no more is wanted than that it is not nil. Errors are those of engine.Node.Join.
func Join(ctx context.Context, node *engine.Node, cfg Config) (*Broker, error) {
	if ctx == nil {
		return nil, errNoContext
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	b := &Broker{node: node, cfg: cfg, topics: map[string]published{}, subs: map[*Sub]struct{}{}}
	for i := range cfg.Groups {
		b.groups = append(b.groups, &group{
			b: b, name: fmt.Sprintf("pubsub/%s/%d.%d/%d", cfg.Name, cfg.Groups, cfg.Prefix, i), turns: semaphore.NewWeighted(wholeTurn),
		})
	}
	if cfg.Keep {
		for _, g := range b.groups {
			if err := g.become(ctx, subscriber, func() {}); err != nil {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoWithin)
				defer cancel()
				return nil, errors.Join(err, b.Leave(ctx))
			}
		}
	}
	return b, nil
}

func (b *Broker) limits() limits { return limits{b.cfg.History, b.cfg.HistoryBytes} }

// Publish multicasts payload, up to engine.MaxMessage less 257 bytes, to all who have
// subscribed to the topic, at level l. It returns when payload is the caller's again. What
// one goroutine publishes to topics of one group comes in that order. The first time in a
// group takes a join. Errors are those of engine.Group.Send and Join, and ErrLevel if a
// rule says otherwise. A topic that is none is an ErrConfig.
func (b *Broker) Publish(ctx context.Context, topic string, l engine.Level, payload []byte) error {
	p, err := b.published(topic)
	if err != nil {
		return err
	}
	if p.rule != nil && p.rule.Level != l {
		return fmt.Errorf("pubsub: %w: %v, want %v for topic %q, by the rule for %q", engine.ErrLevel, l, p.rule.Level, topic, p.rule.Pattern)
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	*buf = appendMessage((*buf)[:0], topic, payload)
	err = p.group.publish(ctx, l, *buf)
	if cap(*buf) > keepBuffer {
		*buf = nil
	}
	return err
}

// buffers hold messages that are being sent.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// published looks a topic up.
func (b *Broker) published(topic string) (published, error) {
	b.mu.RLock()
	p, ok := b.topics[topic]
	b.mu.RUnlock()
	if ok {
		return p, nil
	}
	if err := checkTopic(topic); err != nil {
		return p, err
	}
	head, _ := prefix(topic, b.cfg.Prefix)
	p.group = b.groups[placed(head, len(b.groups))]
	for i, r := range b.cfg.Rules {
		if matches(r.Pattern, topic) {
			p.rule = &b.cfg.Rules[i]
			break
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.topics) >= maxTopics {
		clear(b.topics)
	}
	b.topics[strings.Clone(topic)] = p
	return p, nil
}

// Leave ends all subscriptions, as Sub.Close does, and leaves all groups. Errors are
// those of engine.Group.Leave.
func (b *Broker) Leave(ctx context.Context) error {
	if ctx == nil {
		return errNoContext
	}
	b.left.Store(true)
	b.mu.Lock()
	subs := b.subs
	b.subs = map[*Sub]struct{}{}
	b.mu.Unlock()
	for s := range subs {
		s.queue.close(true)
	}
	var errs []error
	for _, g := range b.groups {
		if err := g.turns.Acquire(ctx, wholeTurn); err != nil {
			errs = append(errs, fmt.Errorf("pubsub: waiting for the group: %w", err))
			continue
		}
		errs = append(errs, g.change(ctx, outside))
		g.turns.Release(wholeTurn)
	}
	return errors.Join(errs...)
}
