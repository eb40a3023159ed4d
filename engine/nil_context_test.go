package engine

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// TestNilContext is refused by name, whether or not the call would have had to wait, and
// nothing is changed by it: the group can be joined, used and left afterwards.
func TestNilContext(t *testing.T) {
	n := openRing(t, 1, nil)[0]
	h := HandlerFunc(func(*Message) {})
	g, err := n.Join(patient(t), "g", h)
	if err != nil {
		t.Fatal(err)
	}
	var none context.Context
	for _, c := range []struct {
		name string
		call func() error
	}{
		{"Open", func() error { _, err := Open(none, Config{Interface: "lo"}); return err }},
		{"AwaitMembers", func() error { return n.AwaitMembers(none, 1) }},
		{"Join", func() error { _, err := n.Join(none, "other", h); return err }},
		{"JoinAll", func() error { _, err := n.JoinAll(none, nil, func(string) Handler { return h }); return err }},
		{"Send", func() error { return g.Send(none, Total, nil) }},
		{"Send of a large message", func() error { return g.Send(none, Total, make([]byte, 1<<20)) }},
		{"Ask", func() error { _, err := g.Ask(none, Total, nil, All); return err }},
		{"Ask of nobody", func() error { _, err := g.Ask(none, Total, nil, None); return err }},
		{"Leave", func() error { return g.Leave(none) }},
		{"LeaveAll", func() error { return n.LeaveAll(none, nil) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer func() {
				if p := recover(); p != nil {
					t.Errorf("panics: %v", p)
				}
			}()
			if err := c.call(); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "context") {
				t.Errorf("%v, want ErrConfig that names the context", err)
			}
		})
	}
	other, err := n.Join(patient(t), "other", h)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Send(patient(t), Total, nil); err != nil {
		t.Error(err)
	}
	if err := n.LeaveAll(patient(t), []*Group{g, other}); err != nil {
		t.Error(err)
	}
}

// TestLeaveAllWithoutAGroup: those that are there are left, as with any other error.
func TestLeaveAllWithoutAGroup(t *testing.T) {
	n := openRing(t, 1, nil)[0]
	g, err := n.Join(patient(t), "g", HandlerFunc(func(*Message) {}))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("panics: %v", p)
		}
	}()
	if err := n.LeaveAll(patient(t), []*Group{nil, g}); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "nil") {
		t.Errorf("%v, want ErrConfig that says so", err)
	}
	if !g.left() {
		t.Error("the other group is not left")
	}
}

// TestJoinAllWithoutAFunction: it would be called for the first name.
func TestJoinAllWithoutAFunction(t *testing.T) {
	n := openRing(t, 1, nil)[0]
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("panics: %v", p)
		}
	}()
	if _, err := n.JoinAll(patient(t), []string{"g"}, nil); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "nil") {
		t.Errorf("%v, want ErrConfig that says so", err)
	}
}
