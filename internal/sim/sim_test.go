package sim

import (
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"cohort/core"
	"cohort/internal/flaw"
	"cohort/order"
)

// firstSeed is where the tests' seeds begin. They are fixed, so that a test that
// passed passes again; vssim soak goes where nobody has been.
const firstSeed = 1

// runs is how many seeds the tests run: under the race detector, which is some
// ten times slower, fewer.
func runs() int {
	switch {
	case raceEnabled:
		return 100
	case testing.Short():
		return 200
	}
	return 2400
}

// shards is how many parallel tests share the seeds.
const shards = 4

// TestSeeds holds runs of random scenarios against every property.
func TestSeeds(t *testing.T) {
	t.Logf("seeds %d to %d", firstSeed, firstSeed+runs()-1)
	var mu sync.Mutex
	met := coverage{}
	t.Run("shards", func(t *testing.T) {
		for shard := range shards {
			t.Run(fmt.Sprint(shard), func(t *testing.T) {
				t.Parallel()
				for i := shard; i < runs(); i += shards {
					seed := uint64(firstSeed + i)
					s := Generate(seed)
					r := Run(s, 0, nil)
					if r.Violation != nil {
						report(t, s, 0, r.Violation)
						return
					}
					mu.Lock()
					met.add(s, r)
					mu.Unlock()
				}
			})
		}
	})
	if !t.Failed() && !testing.Short() {
		met.check(t)
	}
}

// report fails the test with the smallest scenario that breaks the same property,
// and the end of its trace.
func report(t *testing.T, s Scenario, flaws flaw.Set, v *Violation) {
	t.Helper()
	small := ShrinkViolation(s, flaws, 300)
	trace := &Trace{Keep: 60}
	again := Run(small, flaws, trace).Violation
	t.Errorf("seed %d: %v\nreplay it with: go run ./cmd/vssim replay %d\nsmaller:\n%v\n%v%v", s.Seed, v, s.Seed, small, trace, again)
}

// coverage adds up what runs have met: a simulator that never loses a packet
// would pass everything.
type coverage map[string]uint64

func (c coverage) add(s Scenario, r Result) {
	c["lost"] += uint64(r.Lost)
	c["overrun"] += uint64(r.Overrun)
	c["aborted"] += uint64(r.Aborted)
	c[fmt.Sprintf("%d members", s.Members)]++
	for _, st := range r.Stats {
		for i, v := 0, reflect.ValueOf(st); i < v.NumField(); i++ {
			c[v.Type().Field(i).Name] += v.Field(i).Uint()
		}
	}
	for _, op := range s.Ops {
		if op.Kind == Send {
			c[op.Level.String()]++
		} else {
			c[op.what()[:6]]++
		}
	}
}

// check fails the test for what was never met. BadFrames only a member that lies
// can cause, BeyondWindow one that ignores the windows, and Discarded the end of a view.
func (c coverage) check(t *testing.T) {
	delete(c, "BadFrames")
	delete(c, "BeyondWindow")
	delete(c, "Discarded")
	for n := 2; n <= MaxMembers; n++ {
		c[fmt.Sprintf("%d members", n)] += 0
	}
	for _, l := range levels {
		c[l.String()] += 0
	}
	for what, count := range c {
		if count == 0 {
			t.Errorf("no run met %q", what)
		}
	}
	t.Log(map[string]uint64(c))
}

// TestDeterministic runs seeds twice, once with a trace: a run that cannot be
// repeated cannot be debugged.
func TestDeterministic(t *testing.T) {
	for seed := uint64(firstSeed); seed < firstSeed+10; seed++ {
		a, b := Run(Generate(seed), 0, nil), Run(Generate(seed), 0, &Trace{Keep: 10})
		if !reflect.DeepEqual(a, b) {
			t.Errorf("seed %d ran twice: %+v, then %+v", seed, a, b)
		}
	}
}

// TestStuckMember has a member whose program takes nothing while the others send
// many times what it may hold: its memory stays bounded, the senders wait, and all
// arrives when it wakes up.
func TestStuckMember(t *testing.T) {
	const silence = 300 * milli
	s := Scenario{
		Seed: 1, Members: 3, Segment: 1472, RecvBuffer: 256 << 10, HoldLimit: 256 << 10, Batch: 64, Deliver: 256,
		Delay: 20 * micro, Calm: silence,
	}
	s.Ops = append(s.Ops, Op{Member: 2, Kind: Slow, For: silence})
	for i := range 4000 {
		l := []order.Level{order.FIFO, order.Causal, order.Total, order.Total.Safe()}[i%4]
		s.Ops = append(s.Ops, Op{At: int64(i) * 20 * micro, Member: i % 2, Count: 1, Level: l, Size: 1000 + i%400})
	}
	r := Run(s, 0, nil)
	if r.Violation != nil {
		t.Fatal(r.Violation)
	}
	if r.Stats[2].Pauses == 0 || r.Memory < s.HoldLimit {
		t.Errorf("%d pauses, at most %d B of slabs: the hold limit of %d B was never reached", r.Stats[2].Pauses, r.Memory, s.HoldLimit)
	}
	if r.Overrun > 0 {
		t.Errorf("%d packets dropped", r.Overrun)
	}
	t.Logf("at most %d B of slabs, bound %d; %d pauses", r.Memory, s.memoryBound(), r.Stats[2].Pauses)
}

// TestEveryLevelIsPrompt sends one message of each level in an idle view with a
// fixed delay and counts the hops until all have it.
func TestEveryLevelIsPrompt(t *testing.T) {
	const hop = 100 * micro
	for _, members := range []int{2, 3, 5} {
		for _, l := range levels {
			for sender, name := range []string{"the holder of the token", "another"} {
				most := int64(1)
				if l.Order() == order.Total && sender != 0 {
					most++ // the holder's record
				}
				if l.IsSafe() {
					most++ // the rows of those that have it
				}
				s := Scenario{Members: members, Segment: 1472, RecvBuffer: 1 << 20, HoldLimit: 1 << 20, Batch: 64, Deliver: 256, Delay: hop}
				s.Ops = []Op{{At: milli, Member: sender, Count: 1, Level: l, Size: 64}}
				trace := &Trace{}
				r := Run(s, 0, trace)
				if r.Violation != nil || r.Late > most*hop+20*micro {
					t.Errorf("%v from %s in a view of %d took %v, want %d hops of %v (%v)\n%v",
						l, name, members, time.Duration(r.Late), most, time.Duration(hop), r.Violation, trace)
				}
			}
		}
	}
}

// TestAllAtOnce lets all members of an idle view send as much as they can in the
// same instant: nothing may be dropped.
func TestAllAtOnce(t *testing.T) {
	for members := 2; members <= MaxMembers; members++ {
		s := Scenario{Members: members, Segment: 1472, RecvBuffer: 256 << 10, HoldLimit: 8 << 20, Batch: 64, Deliver: 256, Delay: 20 * micro}
		for i := range members {
			s.Ops = append(s.Ops, Op{At: milli, Member: i, Count: 300, Level: order.Total, Size: 1400})
		}
		if r := Run(s, 0, nil); r.Violation != nil {
			t.Errorf("%d members: %v", members, r.Violation)
		}
	}
}

// TestAlone has a view of one: it waits for nobody.
func TestAlone(t *testing.T) {
	s := Scenario{Members: 1, Segment: 1472, RecvBuffer: 1 << 20, HoldLimit: 1 << 20, Batch: 64, Deliver: 256}
	for i, l := range levels {
		s.Ops = append(s.Ops, Op{At: int64(i) * milli, Count: 50, Level: l, Size: 1000})
	}
	if r := Run(s, 0, nil); r.Violation != nil || r.Late > 100*micro {
		t.Errorf("%+v", r)
	}
}

// TestLargestMessage sends one message of every order and of the largest size.
func TestLargestMessage(t *testing.T) {
	if raceEnabled {
		t.Skip("too slow under the race detector")
	}
	s := Scenario{Members: 2, Segment: 9000, RecvBuffer: 2 << 20, HoldLimit: 1 << 20, Batch: 64, Deliver: 256, Delay: 20 * micro}
	for _, l := range []order.Level{order.FIFO, order.Causal, order.Total.Safe()} {
		s.Ops = append(s.Ops, Op{Count: 1, Level: l, Size: core.MaxMessage})
	}
	if r := Run(s, 0, nil); r.Violation != nil {
		t.Error(r.Violation)
	}
}

// TestForgedPackets changes packets and sets their checksums right, as a hostile
// peer would. All order is void then, but nobody may panic or hang.
func TestForgedPackets(t *testing.T) {
	for i := range uint64(runs() / 10) {
		s := Generate(firstSeed + i)
		s.Forge = []float64{0.001, 0.02, 0.3}[i%3]
		if v := Run(s, 0, nil).Violation; v != nil {
			t.Errorf("seed %d, forgery %v: %v", s.Seed, s.Forge, v)
		}
	}
}
