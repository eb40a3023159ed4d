package noise

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cohort/internal/bench/kernel"
)

// machine is a proc file system that a test writes, in hundredths of a second.
type machine struct {
	t     *testing.T
	dir   string
	cores float64 // ns from one processor to another and back
}

func (m *machine) distance() float64 { return m.cores }

func newMachine(t *testing.T) *machine {
	m := &machine{t: t, dir: t.TempDir()}
	m.spent(0, 0, 100, 0)
	return m
}

func (m *machine) spent(user, system, idle, steal int) {
	m.write("stat", fmt.Sprintf("cpu  %d 0 %d %d 0 0 0 %d 0 0\n", user, system, idle, steal))
}

func (m *machine) write(name, text string) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.dir, name), []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

func TestNoise(t *testing.T) {
	for _, c := range []struct {
		name                      string
		user, system, idle, steal int // after, beside 100 of idle before
		own                       time.Duration
		stealPct, othersPct       float64
		reasons                   string
	}{
		{"quiet", 120, 60, 120, 0, 1800 * time.Millisecond, 0, 0, ""},
		{"others", 120, 60, 120, 0, 1200 * time.Millisecond, 0, 30, "other processes used 30 %"},
		{"steal", 100, 50, 240, 10, 1500 * time.Millisecond, 10.0 / 300 * 100, 0, "took 3.3 % of its processors' time (steal)"},
		{"both", 100, 50, 240, 10, time.Second, 10.0 / 300 * 100, 50.0 / 300 * 100, "other processes used 17 %"},
		{"own seems more than all", 10, 0, 200, 0, time.Second, 0, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine(t)
			meter := NewMeter(m.dir, m.distance)
			begin := meter.Begin()
			m.spent(c.user, c.system, c.idle, c.steal)
			n := Judge(meter.End(begin, c.own))
			if n == nil {
				t.Fatal("nothing is known")
			}
			if math.Abs(n.StealPct-c.stealPct) > 1e-6 || math.Abs(n.OthersPct-c.othersPct) > 1e-6 || n.Noisy != (c.reasons != "") {
				t.Errorf("%+v, want steal %v, others %v", n, c.stealPct, c.othersPct)
			}
			if !strings.Contains(strings.Join(n.Reasons, "; "), c.reasons) {
				t.Errorf("reasons %q, want %q", n.Reasons, c.reasons)
			}
		})
	}
}

func TestLoadBeforeIsNoise(t *testing.T) {
	m := newMachine(t)
	m.write("loadavg", "1.20 0.10 0.10 3/88 25439\n")
	for _, c := range []struct {
		cores int
		noisy bool
	}{{2, true}, {4, false}} {
		n := &Noise{}
		n.JudgeLoad(NewMeter(m.dir, m.distance).Load(), c.cores)
		if n.Noisy != c.noisy {
			t.Errorf("%d cores: %+v", c.cores, n)
		}
	}
}

// TestUnknownIsNotQuiet: a system that does not tell gives no judgement at all.
func TestUnknownIsNotQuiet(t *testing.T) {
	m := newMachine(t)
	meter := NewMeter(m.dir, m.distance)
	begin := meter.Begin()
	m.write("stat", "garbled\x00\n")
	if n := Judge(meter.End(begin, 0)); n != nil {
		t.Errorf("garbled times gave %+v", n)
	}
	begin = meter.Begin()
	m.spent(1, 1, 200, 1)
	if n := Judge(meter.End(begin, 0)); n != nil {
		t.Errorf("times since garbled ones gave %+v", n)
	}
	if l := meter.Load(); l != nil {
		t.Errorf("no load average gave %v", l)
	}
}

// TestShortSpansAreNotCalledNoisy: of 100 ms of two processors, one step of their clocks
// is 10 %.
func TestShortSpansAreNotCalledNoisy(t *testing.T) {
	short := Span{Times: kernel.Times{Busy: 100 * time.Millisecond, Idle: 100 * time.Millisecond}}
	if n := Judge(short); n == nil || n.Noisy || n.OthersPct != 50 {
		t.Errorf("%+v, want 50 %% that are not judged", n)
	}
	if n := Judge(short.Add(short).Add(short)); !n.Noisy {
		t.Errorf("%+v, want noise", n)
	}
}

func TestSpansAdd(t *testing.T) {
	quiet := Span{Times: kernel.Times{Busy: time.Second, Idle: time.Second}, Own: time.Second}
	loud := Span{Times: kernel.Times{Busy: time.Second, Idle: time.Second}}
	if n := Judge(quiet.Add(loud)); n.OthersPct != 25 || n.MeasuredS != 4 {
		t.Errorf("%+v, want 25 %% of 4 s", n)
	}
}

// TestMovedProcessorsAreNoise, also in a short span, and in all that it is added to.
func TestMovedProcessorsAreNoise(t *testing.T) {
	m := newMachine(t)
	meter := NewMeter(m.dir, m.distance)
	span := func(before, after float64) Span {
		m.cores = before
		m.spent(0, 0, 100, 0)
		begin := meter.Begin()
		m.cores = after
		m.spent(1, 0, 110, 0)
		return meter.End(begin, 0)
	}
	near, moved, unknown := span(50, 75), span(320, 60), span(0, 60)
	if n := Judge(near); n.Noisy || *n.Cores != (Distance{50, 75}) {
		t.Errorf("%+v, want quiet, and 50 to 75 ns", n)
	}
	if n := Judge(moved); !n.Noisy || !strings.Contains(n.Reasons[0], "60 to 320 ns") {
		t.Errorf("%+v, want what was moved", n)
	}
	if n := Judge(unknown.Add(near).Add(moved)); !n.Noisy || *n.Cores != (Distance{50, 320}) {
		t.Errorf("%+v, want 50 to 320 ns", n)
	}
	if n := Judge(span(0, 0)); n.Noisy || n.Cores != nil {
		t.Errorf("%+v, want nothing known", n)
	}
}
