package flowctl

import "testing"

const (
	us = int64(1000)
	ms = 1000 * us
)

// asks asserts what the gap asks for when its time has come, and that it has
// come at no other.
func asks(t *testing.T, g *Gap, due int64, first, top, wantFrom uint64, wantTries int) {
	t.Helper()
	if g.Due() != due {
		t.Fatalf("due at %d µs, want %d", g.Due()/us, due/us)
	}
	if from, tries := g.Ask(due, first, top); from != wantFrom || tries != wantTries {
		t.Fatalf("at %d µs asks from %d, after %d in vain; want from %d after %d", due/us, from, tries, wantFrom, wantTries)
	}
}

func TestNothingIsMissing(t *testing.T) {
	if g := NewGap(); g.Due() != Never {
		t.Errorf("due at %d", g.Due())
	}
}

func TestAHoleThatWasReordering(t *testing.T) {
	g := NewGap()
	g.Found(0) // packet 6 comes before 5
	g.Closed() // 5 comes, 100 µs later
	if g.Due() != Never {
		t.Errorf("due at %d", g.Due())
	}
}

// TestAHoleIsAskedForEarlyThenPatiently: once after the allowance for
// reordering, then with backoff up to its limit, always for all of it.
func TestAHoleIsAskedForEarlyThenPatiently(t *testing.T) {
	g := NewGap()
	g.Found(0)
	asks(t, &g, Reorder, 5, 9, 5, 0)
	at := Reorder
	for tries, wait := range []int64{2, 4, 8, 16, 32, 64, 64, 64, 64, 64, 64, 64, 64} {
		at += wait * ms
		asks(t, &g, at, 5, 9, 5, tries+1)
	}
}

// TestNewHolesWhileWaiting: they are asked for at once and alone, and do not put
// off the second request for the old ones.
func TestNewHolesWhileWaiting(t *testing.T) {
	g := NewGap()
	g.Found(0)
	asks(t, &g, Reorder, 5, 9, 5, 0) // 5 to 9 asked for
	g.Found(ms)                      // 12 comes: 10 and 11 are missing too
	asks(t, &g, ms+Reorder, 5, 11, 10, 0)
	g.Found(ms + 500*us) // and 14
	asks(t, &g, ms+500*us+Reorder, 5, 13, 12, 0)
	asks(t, &g, Reorder+2*ms, 5, 13, 5, 1) // 5 to 13 again
}

// TestTheOldestOfNewHolesCounts: holes found one after the other wait no longer
// than the first of them.
func TestTheOldestOfNewHolesCounts(t *testing.T) {
	g := NewGap()
	g.Found(0)
	g.Found(100 * us)
	asks(t, &g, Reorder, 5, 9, 5, 0)
}

// TestNewHolesAfterTheOldOnesClosed: the holes asked for were filled, so there is
// nothing to leave out.
func TestNewHolesAfterTheOldOnesClosed(t *testing.T) {
	g := NewGap()
	g.Found(0)
	asks(t, &g, Reorder, 5, 9, 5, 0)
	g.Progress(ms) // 5 to 9 have come, 11 too: 10 is missing
	g.Found(ms)
	asks(t, &g, ms+Reorder, 10, 10, 10, 0)
}

// TestProgressStartsTheBackoffOver: whoever repairs is alive.
func TestProgressStartsTheBackoffOver(t *testing.T) {
	g := NewGap()
	g.Found(0)
	asks(t, &g, Reorder, 5, 9, 5, 0)
	asks(t, &g, Reorder+2*ms, 5, 9, 5, 1)
	asks(t, &g, Reorder+6*ms, 5, 9, 5, 2)
	g.Progress(10 * ms) // 5 has come, 6 has not
	asks(t, &g, 10*ms+RetryMin, 6, 9, 6, 0)
	asks(t, &g, 10*ms+2*RetryMin, 6, 9, 6, 1)
}

// TestProgressBeforeTheFirstRequest does not bring a request about.
func TestProgressBeforeTheFirstRequest(t *testing.T) {
	g := NewGap()
	g.Found(0)
	g.Progress(10 * us)
	if g.Due() != Reorder {
		t.Errorf("due at %d µs, want %d", g.Due()/us, Reorder/us)
	}
}

func TestClosedForgetsEverything(t *testing.T) {
	g := NewGap()
	g.Found(0)
	asks(t, &g, Reorder, 5, 9, 5, 0)
	asks(t, &g, Reorder+2*ms, 5, 9, 5, 1)
	g.Closed()
	if g.Due() != Never {
		t.Fatalf("due at %d", g.Due())
	}
	g.Found(100 * ms)
	asks(t, &g, 100*ms+Reorder, 20, 20, 20, 0)
	asks(t, &g, 100*ms+Reorder+RetryMin, 20, 20, 20, 1)
}

// TestALostRepairIsSentAtTheFirstRetry: the one who repairs must not take the
// second request for an echo of the first.
func TestALostRepairIsSentAtTheFirstRetry(t *testing.T) {
	if RepairHold >= RetryMin {
		t.Errorf("repairs are held for %d µs, requests repeated after %d", RepairHold/us, RetryMin/us)
	}
}
