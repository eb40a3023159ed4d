package client

import (
	"errors"
	"strings"
	"testing"
	"time"

	"cohort/engine"
)

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
