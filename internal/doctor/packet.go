package doctor

import (
	"encoding/binary"

	"cohort/batch"
)

// A probe packet is, in network byte order: the secret of the probe (8 bytes), the
// trial (4), its number in the trial (4), and a pattern that depends on both.
const headerSize = 8 + 4 + 4

// maxProbePackets bounds a trial, since a tally remembers each of its packets.
const maxProbePackets = 1 << 14

// stamp fills p, of at least headerSize bytes, as packet seq of a trial.
func stamp(p []byte, secret uint64, trial, seq uint32) {
	binary.BigEndian.PutUint64(p, secret)
	binary.BigEndian.PutUint32(p[8:], trial)
	binary.BigEndian.PutUint32(p[12:], seq)
	for i := headerSize; i < len(p); i++ {
		p[i] = pattern(trial, seq, i)
	}
}

func pattern(trial, seq uint32, i int) byte { return byte(int(trial) + 7*int(seq) + i) }

// Tally is what a receiver saw of a trial.
type Tally struct {
	Received   int `json:"received"`   // packets, each once
	Duplicated int `json:"duplicated"` // more of the same
	Reordered  int `json:"reordered"`  // packets after a later one
	Changed    int `json:"changed"`    // packets of the probe with wrong bytes or a wrong size
	Trains     int `json:"trains"`     // receptions of several packets as one
}

// counter makes the tally of one trial.
type counter struct {
	Tally
	secret uint64
	trial  Trial
	seen   []bool
	next   uint32
}

func newCounter(secret uint64, t Trial) *counter {
	return &counter{secret: secret, trial: t, seen: make([]bool, t.Packets)}
}

// take counts a train. What is not of this probe and trial is somebody else's.
func (c *counter) take(t *batch.Train) {
	whole := 0
	for b := t.Buf; len(b) > 0; {
		n := min(t.Segment, len(b))
		if c.packet(b[:n]) {
			whole++
		}
		b = b[n:]
	}
	if whole > 1 {
		c.Trains++
	}
}

func (c *counter) packet(p []byte) (ok bool) {
	if len(p) < headerSize || binary.BigEndian.Uint64(p) != c.secret || binary.BigEndian.Uint32(p[8:]) != c.trial.ID {
		return false
	}
	seq := binary.BigEndian.Uint32(p[12:])
	if int64(seq) >= int64(len(c.seen)) || len(p) != c.trial.size(int(seq)) || !intact(p, c.trial.ID, seq) {
		c.Changed++
		return false
	}
	if c.seen[seq] {
		c.Duplicated++
		return true
	}
	c.seen[seq] = true
	c.Received++
	if seq < c.next {
		c.Reordered++
	} else {
		c.next = seq + 1
	}
	return true
}

func intact(p []byte, trial, seq uint32) bool {
	for i := headerSize; i < len(p); i++ {
		if p[i] != pattern(trial, seq, i) {
			return false
		}
	}
	return true
}
