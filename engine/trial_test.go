package engine

import "testing"

// world is a machine on which a turn of a MiB takes so long, ns, without and with the courier.
type world struct {
	now           int64
	without, with int64
}

// run has a node send for so many ns, and returns the share of the time in which it had its
// courier.
func (w *world) run(t *trial, length int64) float64 {
	var with, all int64
	for end := w.now + length; w.now < end; {
		took := w.without
		used := t.turn(w.now, 1<<20)
		if used {
			took = w.with
			with += took
		}
		all += took
		w.now += took
	}
	return float64(with) / float64(all)
}

// TestTrialFindsTheBetterWay, also once the machine has changed, and spends little on
// looking at the other.
func TestTrialFindsTheBetterWay(t *testing.T) {
	w, tr := world{without: 500_000, with: 650_000}, &trial{}
	if share := w.run(tr, 2e9); share > 0.15 {
		t.Errorf("a courier that makes it slower was used for %.2f of the time", share)
	}
	w.with = 400_000
	w.run(tr, 2e9)
	if share := w.run(tr, 2e9); share < 0.9 {
		t.Errorf("a courier that makes it faster was used for %.2f of the time", share)
	}
	w.with = 650_000
	w.run(tr, 2e9)
	if share := w.run(tr, 2e9); share > 0.1 {
		t.Errorf("a courier that makes it slower again was used for %.2f of the time", share)
	}
}

// TestTrialLearnsFromFullLoadOnly: where there is little to send, or it was not sent without
// a break, the times say nothing about the courier.
func TestTrialLearnsFromFullLoadOnly(t *testing.T) {
	little, bursts := &trial{}, &trial{}
	now := int64(0)
	for i := range 10_000 {
		now += 500_000
		little.turn(now, 10_000)
		if i%8 == 0 {
			now += 2 * stretchBreak
		}
		bursts.turn(now, 1<<20)
	}
	for name, tr := range map[string]*trial{"little": little, "bursts": bursts} {
		if tr.seen != 0 || tr.gain != 0 {
			t.Errorf("%s to send: %d comparisons, gain %.2f; want none", name, tr.seen, tr.gain)
		}
	}
}

// TestTrialLivesWithNoise: turns of very different lengths do not hide what the courier brings.
func TestTrialLivesWithNoise(t *testing.T) {
	w, tr := world{}, &trial{}
	seed, with, all := uint64(1), 0.0, 0.0
	for range 4000 {
		seed = seed*6364136223846793005 + 1442695040888963407
		w.without = 300_000 + int64(seed>>40)%600_000
		w.with = w.without * 5 / 4
		share := w.run(tr, 2_000_000)
		with, all = with+share, all+1
	}
	if with/all > 0.2 {
		t.Errorf("a courier that makes it slower was used for %.2f of the time", with/all)
	}
}
