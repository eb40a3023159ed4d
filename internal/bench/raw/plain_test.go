//go:build unix

package raw

import (
	"testing"
	"time"

	"cohort/internal/bench/clock"
	"cohort/internal/bench/load"
	"cohort/internal/bench/member"
)

func TestPlainDelivers(t *testing.T) {
	group := randomGroup()
	row := member.Row{Number: 3, Size: 64, Members: 3, Senders: 1, Idle: true}
	var ps []*Plain
	var cs []*counter
	for i := range 3 {
		c := &counter{t: t, size: 64}
		p := NewPlain("lo", group, c.sink)
		t.Cleanup(func() {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		})
		row.Self = i
		for range 2 { // as in the second row of a run
			if err := p.Begin(row); err != nil {
				t.Fatal(err)
			}
		}
		ps, cs = append(ps, p), append(cs, c)
	}
	src := load.NewLone(load.Sender{Row: 3, Size: 64, Senders: 1}, clock.Now(), time.Millisecond, 50)
	if err := ps[0].Send(t.Context(), src); err != nil {
		t.Fatal(err)
	}
	for i, c := range cs {
		eventually(t, "all messages", func() bool { return c.received.Load() == 50 })
		if c.lasts.Load() != 1 {
			t.Errorf("member %d got %d last messages", i, c.lasts.Load())
		}
	}
}

func TestPlainNamesTheInterface(t *testing.T) {
	if err := NewPlain("nonesuch0", randomGroup(), nil).Begin(member.Row{}); err == nil {
		t.Error("no error for an interface that does not exist")
	}
}
