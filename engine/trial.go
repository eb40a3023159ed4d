package engine

const (
	stretch      = 5_000_000   // ns for which the courier is used, or not, before that is judged
	stretchWork  = 512 << 10   // bytes that are the least for it: else little waits to be sent, and it does not matter
	stretchBreak = 2 * stretch // a loop that has sent nothing for so long has had nothing to send

	// At first one stretch of probeOften goes the other way, to see, and one of probeRarely
	// once that has been seen as often as the average remembers.
	probeOften  = 5
	probeRarely = 25
	memory      = 8
)

// trial finds out whether a node fares better with its courier, by what it sends in short
// stretches of time. Whether it does depends on the machine: on how far its cores' caches
// are apart, and on what else runs on them. The same node was a quarter slower with it as
// the one sender of three, and a tenth faster as one of sixteen members. A stretch the other
// way is compared with those before and after it, so that both meet the same load.
type trial struct {
	with bool    // how it goes in this stretch
	gain float64 // what the courier brings: (with - without) / (with + without), averaged
	seen int     // comparisons, up to memory

	last    int64 // when the last turn sent
	pending int   // bytes of that turn
	took    int64 // of this stretch, ns
	moved   int   // bytes
	left    int   // stretches until the next probe has been made

	before, probe float64 // bytes/ns in the stretch before the probe, and in it; 0: not known
}

// turn notes that a turn of the loop sends so many bytes, and tells whether the courier is to.
func (t *trial) turn(now int64, bytes int) bool {
	took := now - t.last
	t.took += took
	t.moved += t.pending
	t.last, t.pending = now, bytes
	switch {
	case took > stretchBreak:
		t.took, t.moved, t.before, t.probe = 0, 0, 0, 0
	case t.took >= stretch:
		t.end()
	}
	return t.with
}

// end judges a stretch, and begins the next.
func (t *trial) end() {
	rate := float64(t.moved) / float64(t.took)
	if t.moved < stretchWork {
		rate = 0
	}
	t.took, t.moved = 0, 0
	switch t.left {
	case 2:
		t.before = rate
		t.with = !t.with
	case 1:
		t.probe = rate
		t.with = !t.with
	case 0:
		t.learn(rate)
		t.with = t.gain > 0
		if t.left = probeOften; t.seen == memory {
			t.left = probeRarely
		}
	}
	t.left--
}

// learn takes the rate after a probe.
func (t *trial) learn(after float64) {
	if t.before == 0 || t.probe == 0 || after == 0 {
		return
	}
	usual := (t.before + after) / 2
	gain := (t.probe - usual) / (t.probe + usual)
	if t.with {
		gain = -gain
	}
	t.gain += (gain - t.gain) / memory
	t.before, t.probe = 0, 0
	t.seen = min(t.seen+1, memory)
}
