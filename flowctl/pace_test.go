package flowctl

import "testing"

// due asserts when something is to be sent.
func due(t *testing.T, when string, got, want int64) {
	t.Helper()
	if got != want {
		t.Errorf("%s: due at %d µs, want %d", when, got/us, want/us)
	}
}

func TestRowsFollowData(t *testing.T) {
	a := NewAcks(0, 1_000_000, Heartbeat)
	due(t, "idle", a.Due(), Heartbeat)
	a.Arrived(10*ms, 1000)
	due(t, "some data", a.Due(), 10*ms+AckDelay)
	if !a.Waiting() {
		t.Error("a packet that leaves now would carry no row")
	}
	a.Arrived(10*ms+500*us, 1000)
	due(t, "more does not put it off", a.Due(), 10*ms+AckDelay)
	a.Arrived(10*ms+600*us, 97_999)
	due(t, "just under a tenth of the budget", a.Due(), 10*ms+AckDelay)
	a.Arrived(10*ms+700*us, 1)
	due(t, "a tenth of it", a.Due(), 10*ms+700*us)
	a.Sent(10*ms + 700*us)
	due(t, "sent", a.Due(), 10*ms+700*us+Heartbeat)
	if a.Waiting() {
		t.Error("there is nothing to acknowledge, and yet a row would ride")
	}
	a.Arrived(20*ms, 99_999)
	due(t, "it counts anew", a.Due(), 20*ms+AckDelay)
}

func TestARowThatSomeoneWaitsFor(t *testing.T) {
	a := NewAcks(0, 1_000_000, Heartbeat)
	a.Now(5 * ms)
	due(t, "asked for", a.Due(), 5*ms)
	a.Now(6 * ms)
	due(t, "asked for again", a.Due(), 5*ms)
	if a.Waiting() {
		t.Error("being asked is not data")
	}
	a.Sent(6 * ms)
	due(t, "sent", a.Due(), 6*ms+Heartbeat)
}

func TestHeartbeat(t *testing.T) {
	a := NewAcks(0, 1_000_000, Heartbeat)
	for at := Heartbeat; at < 5*Heartbeat; at += Heartbeat {
		due(t, "still idle", a.Due(), at)
		a.Sent(at)
	}
}

// TestABudgetOfNothing: with a buffer too small to divide, every packet is acknowledged.
func TestABudgetOfNothing(t *testing.T) {
	a := NewAcks(0, 5, Heartbeat)
	a.Arrived(ms, 1)
	due(t, "one byte", a.Due(), ms)
}

// TestAnnounceTheTail: the last packet of a burst is lost, and the rows of the
// others do not come; the sender says again what it has sent, ever more slowly.
func TestAnnounceTheTail(t *testing.T) {
	a := NewAnnounce()
	due(t, "nothing sent", a.Due(), Never)
	a.Progress(0)
	due(t, "rows move while nothing is waited for", a.Due(), Never)
	a.Wait(0)
	due(t, "sent", a.Due(), 4*ms)
	a.Wait(3 * ms)
	due(t, "more sent does not put it off", a.Due(), 4*ms)
	at := 4 * ms
	for _, wait := range []int64{8, 16, 32, 64, 128, 128, 128, 128, 128, 128, 128, 128} {
		a.Sent(at)
		at += wait * ms
		due(t, "announced", a.Due(), at)
	}
	a.Progress(at)
	due(t, "rows move", a.Due(), at+AnnounceMin)
	a.Sent(at + AnnounceMin)
	due(t, "the backoff starts over", a.Due(), at+AnnounceMin+8*ms)
	a.Idle()
	due(t, "all have it", a.Due(), Never)
	a.Wait(at)
	due(t, "and the next burst is announced early again", a.Due(), at+AnnounceMin)
}
