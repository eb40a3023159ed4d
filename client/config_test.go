package client

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"cohort/engine"
)

// TestNilContext is refused by name, as in package engine, and nothing is sent.
func TestNilContext(t *testing.T) {
	places := openPlaces(t, 1)
	c, g := dial(t, nil, addrs(places)...)
	var none context.Context
	for what, call := range map[string]func() error{
		"Dial": func() error { _, err := Dial(none, c.cfg); return err },
		"Sync": func() error { return c.Sync(none) },
		"Send": func() error { return g.Send(none, engine.Total, []byte("sent")) },
		"Ask":  func() error { _, err := g.Ask(none, engine.Total, []byte("asked"), engine.All); return err },
	} {
		func() {
			defer func() {
				if p := recover(); p != nil {
					t.Errorf("%s: panics: %v", what, p)
				}
			}()
			if err := call(); !errors.Is(err, engine.ErrConfig) || !strings.Contains(err.Error(), "context") {
				t.Errorf("%s: %v, want ErrConfig that names the context", what, err)
			}
		}()
	}
	if err := c.Sync(patient(t)); err != nil {
		t.Fatal(err)
	}
	if got := places[0].replica.list(); len(got) > 0 {
		t.Errorf("%q is applied", got)
	}
}

// TestConfigIsCopied: the caller may use its slices for something else afterwards, also while
// the client looks for another member.
func TestConfigIsCopied(t *testing.T) {
	places := openPlaces(t, 2)
	cfg := Config{Members: addrs(places[:1]), Groups: []string{"orders"}, Timeout: 2 * time.Second, Logger: slog.New(slog.DiscardHandler)}
	c, err := Dial(patient(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cfg.Members[0], cfg.Groups[0] = "127.0.0.1:1", "others"
	g, err := c.Group("orders")
	if err != nil {
		t.Fatal(err)
	}
	places[0].close()
	places[0].down = false
	places[0].open(2)
	eventually(t, "the client is let in again", func() bool { return c.Moves() == 2 })
	if err := g.Send(patient(t), engine.Total, nil); err != nil {
		t.Error(err)
	}
}

// TestBadConfig: what cannot be is refused with one error, as in package engine.
func TestBadConfig(t *testing.T) {
	for what, change := range map[string]func(*Config){
		"no members":      func(c *Config) { c.Members = nil },
		"no port":         func(c *Config) { c.Members = []string{"127.0.0.1"} },
		"no groups":       func(c *Config) { c.Groups = nil },
		"a group twice":   func(c *Config) { c.Groups = []string{"g", "g"} },
		"a long name":     func(c *Config) { c.Groups = []string{strings.Repeat("g", 256)} },
		"a short timeout": func(c *Config) { c.Timeout = time.Millisecond },
		"a buffer of -1":  func(c *Config) { c.Buffer = -1 },
	} {
		cfg := Config{Members: []string{"127.0.0.1:1"}, Groups: []string{"g"}}
		change(&cfg)
		if _, err := Dial(patient(t), cfg); !errors.Is(err, engine.ErrConfig) {
			t.Errorf("%s: %v, want ErrConfig", what, err)
		}
	}
}
