package fleet

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"cohort/internal/bench/member"
)

// part is a system that remembers what it was asked.
type part struct {
	name   string
	rank   int
	asked  []member.Request
	closed bool
}

func (p *part) Name() string { return p.name }
func (p *part) Close() error { p.closed = true; return errors.New(p.name) }
func (p *part) Ask(_ context.Context, q member.Request) (member.Reply, error) {
	p.asked = append(p.asked, q)
	return member.Reply{Opened: &member.Opened{Rank: p.rank, Versions: []string{p.name}}}, nil
}

// TestJoint: every system is opened with its own levels, at the engine's rank, and
// a row goes to the one that has its level.
func TestJoint(t *testing.T) {
	engine, raft := &part{name: "engine", rank: 2}, &part{name: "raft", rank: -1}
	j := NewJoint([]System{{Caller: engine, Levels: []string{"fbcast", "abcast"}}, {Caller: raft, Levels: []string{"raft"}, Addresses: []string{"a"}}})
	r, err := j.Ask(t.Context(), member.Request{Op: member.OpOpen, Open: &member.Open{Index: 1, Levels: []string{"abcast", "raft", "fbcast"}}})
	if err != nil || r.Opened.Rank != 2 {
		t.Fatalf("answer %+v, %v; want the engine's", r, err)
	}
	if o := engine.asked[0].Open; o.Index != 1 || !slices.Equal(o.Levels, []string{"fbcast", "abcast"}) || o.Addresses != nil {
		t.Errorf("the engine was opened with %+v", o)
	}
	if o := raft.asked[0].Open; o.Index != 2 || !slices.Equal(o.Levels, []string{"raft"}) || !slices.Equal(o.Addresses, []string{"a"}) {
		t.Errorf("raft was opened with %+v", o)
	}
	if o := j.Opened(); len(o) != 2 || o[1].Versions[0] != "raft" {
		t.Errorf("opened %+v", o)
	}
	for _, c := range []struct {
		level string
		to    *part
	}{{"raft", raft}, {"abcast", engine}, {"raft", raft}} {
		before := len(c.to.asked)
		for _, q := range []member.Request{{Op: member.OpRow, Row: &member.Row{Level: c.level}}, {Op: member.OpDigests}} {
			if _, err := j.Ask(t.Context(), q); err != nil {
				t.Fatal(err)
			}
		}
		if len(c.to.asked) != before+2 || j.Name() != c.to.name {
			t.Errorf("a row of %s was asked of %s", c.level, j.Name())
		}
	}
	if _, err := j.Ask(t.Context(), member.Request{Op: member.OpRow, Row: &member.Row{Level: "nats"}}); err == nil || !strings.Contains(err.Error(), `"nats"`) {
		t.Errorf("a level that nobody has: %v", err)
	}
	if err := j.Close(); err == nil || !engine.closed || !raft.closed || !strings.Contains(err.Error(), "raft") {
		t.Errorf("closed engine %v, raft %v: %v", engine.closed, raft.closed, err)
	}
}
