package failover

import (
	"math"
	"slices"
	"testing"
	"time"
)

const ms = int64(time.Millisecond)

// steady returns a track in which each sender's messages come every ms, from the
// first time on up to the last, but for those in the gap.
func steady(from, to, gapFrom, gapTo int64, senders ...string) (t track) {
	for at := from; at <= to; at += ms {
		if at > gapFrom && at < gapTo {
			continue
		}
		for _, s := range senders {
			t = append(t, arrival{at, s})
		}
	}
	return t
}

func TestLongestGap(t *testing.T) {
	at := func(times ...int64) (l track) {
		for _, a := range times {
			l = append(l, arrival{at: a * ms})
		}
		return l
	}
	for _, c := range []struct {
		name        string
		track       track
		from, until int64
		gap, end    int64
		ok          bool
	}{
		{"within", at(0, 1, 2, 9, 10, 11), 2, 10, 7, 9, true},
		{"one that began before the fault", at(0, 8, 9), 5, 9, 8, 8, true},
		{"one that ended before the fault does not count", at(0, 8, 9, 10), 8, 10, 1, 9, true},
		{"one that ends after all had the view", at(0, 1, 2, 30, 31), 1, 10, 28, 30, true},
		{"one that begins after does not count", at(0, 1, 2, 11, 50), 1, 10, 9, 11, true},
		{"the first of equal ones", at(0, 5, 10), 0, 10, 5, 5, true},
		{"not over", at(0, 1, 2), 2, 10, 0, 0, false},
		{"nothing at all", nil, 0, 10, 0, 0, false},
	} {
		gap, end, ok := c.track.longestGap(c.from*ms, c.until*ms)
		if gap != c.gap*ms || end != c.end*ms || ok != c.ok {
			t.Errorf("%s: gap %d until %d, %v; want %d until %d, %v", c.name, gap, end, ok, c.gap*ms, c.end*ms, c.ok)
		}
	}
}

func TestRecovered(t *testing.T) {
	const fault = 1000 * ms
	for _, c := range []struct {
		name   string
		track  track
		gapEnd int64
		want   int64
		ok     bool
	}{
		{"no gap to speak of", steady(0, fault+100*ms, 0, 0, "a", "b"), fault + ms, 10 * ms, true},
		{"a gap of 34 ms", steady(0, fault+100*ms, fault, fault+34*ms, "a", "b"), fault + 34*ms, 50 * ms, true},
		{"the one that was hit does not count", append(steady(0, fault, 0, 0, "a", "dead"), steady(fault+ms, fault+100*ms, 0, 0, "a")...), fault + ms, 10 * ms, true},
		{"half of the others is not enough", append(steady(0, fault, 0, 0, "a", "b"), steady(fault+ms, fault+100*ms, 0, 0, "a")...), fault + ms, 0, false},
		{"a bucket that is not over does not count", steady(0, fault+12*ms, fault, fault+11*ms, "a"), fault + 11*ms, 0, false},
		{"a full bucket before the gap does not count", steady(0, fault+100*ms, fault+20*ms, fault+50*ms, "a"), fault + 50*ms, 60 * ms, true},
		{"a gap that ended before the fault", steady(0, fault+100*ms, 0, 0, "a"), fault - ms, 10 * ms, true},
	} {
		got, ok := c.track.recovered(fault, c.gapEnd, "dead")
		if got != c.want || ok != c.ok {
			t.Errorf("%s: %v, %v; want %v, %v", c.name, time.Duration(got), ok, time.Duration(c.want), c.ok)
		}
	}
}

// TestTimeline: full before the fault, nothing in the gap, and only what the others sent.
func TestTimeline(t *testing.T) {
	const fault = 1000 * ms
	got := append(steady(0, fault, 0, 0, "a", "dead"), steady(fault+20*ms, fault+41*ms, 0, 0, "a")...).timeline(fault, "dead")
	want := []float64{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1}
	if len(got) != len(want) {
		t.Fatalf("%d buckets %v, want %d", len(got), got, len(want))
	}
	for b := range want {
		if math.Abs(got[b]-want[b]) > 0.11 { // a message to this side of a border or that
			t.Errorf("bucket %d: %v, want %v", b, got[b], want[b])
		}
	}
	if got := (track{}).timeline(fault, ""); got != nil {
		t.Errorf("nothing was delivered, and that is %v", got)
	}
	if got := steady(fault, fault+50*ms, 0, 0, "a").timeline(fault, ""); got != nil {
		t.Errorf("nothing came before the fault, and that is %v", got)
	}
}

func TestFirstOf(t *testing.T) {
	views := []sight{{10, 3}, {20, 2}, {30, 0}, {40, 3}}
	for _, c := range []struct {
		size  int
		since int64
		at    int64
		ok    bool
	}{{3, 0, 10, true}, {3, 10, 40, true}, {2, 10, 20, true}, {2, 20, 0, false}, {4, 0, 0, false}} {
		if at, ok := firstOf(views, c.size, c.since); ok != c.ok || ok && at != c.at {
			t.Errorf("%d members since %d: %d, %v; want %d, %v", c.size, c.since, at, ok, c.at, c.ok)
		}
	}
	if got := after(views, 20); !slices.Equal(got, []int{0, 3}) {
		t.Errorf("after 20: %v", got)
	}
}
