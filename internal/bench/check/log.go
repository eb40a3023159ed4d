// Package check holds what one member delivered against what the ordering level
// promised, while it is delivered: per-sender sequence, causal claims, and
// digests of the delivery order that members compare afterwards. A Log costs a
// few ns per message and allocates nothing while it runs.
package check

import (
	"fmt"

	"cohort/order"
)

// BlockSize is the number of deliveries between two digests.
const BlockSize = 4096

// DefaultKeep is how many of the last deliveries a Log keeps if not told
// otherwise: 16 MiB of history.
const DefaultKeep = 1 << 22

// An entry of the history is a rank and the low bits of a sequence number.
const (
	seqBits = 26
	seqMask = 1<<seqBits - 1
)

// Config is what a Log needs to know.
type Config struct {
	Members int         // in the group
	Level   order.Level // what is promised
	Keep    int         // deliveries kept in the history, a power of two; 0: DefaultKeep
}

// Claim is what a message says about its causal past: its sender had delivered
// Count messages of member Of when it sent it.
type Claim struct {
	Of    int
	Count uint64
}

// Log is one member's record of one row's deliveries. It belongs to the
// goroutine that delivers; only Breach, Counts, Digests and Around may be called
// by another one, once that one has stopped.
type Log struct {
	causal    bool
	delivered []uint64 // by sender: also the sequence number of its last message
	total     uint64
	hash      uint64
	untilSum  int      // deliveries until the block is full
	digests   []uint64 // after each full block; each digest covers all before it
	history   []uint32
	breach    *Breach
}

// NewLog returns an empty Log. Sequence numbers of each sender are expected from 1.
func NewLog(cfg Config) *Log {
	l := &Log{}
	l.Reset(cfg)
	return l
}

// Reset empties the Log for another row, keeping its memory.
func (l *Log) Reset(cfg Config) {
	if cfg.Keep == 0 {
		cfg.Keep = DefaultKeep
	}
	if cfg.Keep&(cfg.Keep-1) != 0 {
		panic(fmt.Sprintf("check: a history of %d deliveries: want a power of two", cfg.Keep))
	}
	if len(l.history) != cfg.Keep {
		l.history = make([]uint32, cfg.Keep)
		clear(l.history) // or its pages would be got while it is measured
	}
	if l.digests == nil {
		l.digests = make([]uint64, 0, 1<<14)
	}
	*l = Log{
		causal: cfg.Level.Order() >= order.Causal, delivered: make([]uint64, cfg.Members),
		untilSum: BlockSize, digests: l.digests[:0], history: l.history,
	}
}

// Delivered notes that message seq of a sender was delivered, with its claim. A
// sender or a member claimed about that does not exist is a breach.
func (l *Log) Delivered(sender int, seq uint64, claim Claim) {
	if uint(sender) >= uint(len(l.delivered)) || uint(claim.Of) >= uint(len(l.delivered)) {
		l.fail(Breach{Kind: Unknown, Sender: sender, Seq: seq, About: claim.Of})
		return
	}
	if want := l.delivered[sender] + 1; seq != want {
		l.outOfSequence(sender, seq, want)
		return
	}
	if l.causal && l.delivered[claim.Of] < claim.Count {
		l.fail(Breach{Kind: CausalViolated, Sender: sender, Seq: seq, About: claim.Of, Want: claim.Count, Got: l.delivered[claim.Of]})
	}
	l.delivered[sender] = seq
	l.history[l.total&uint64(len(l.history)-1)] = uint32(sender)<<seqBits | uint32(seq&seqMask)
	l.total++
	l.hash = step(l.hash, sender, seq)
	if l.untilSum--; l.untilSum == 0 {
		l.digests = append(l.digests, l.hash)
		l.untilSum = BlockSize
	}
}

// outOfSequence notes a message that came twice, or instead of an earlier one,
// and goes on from it, so that one gap is one breach.
func (l *Log) outOfSequence(sender int, seq, want uint64) {
	kind := Missing
	if seq < want {
		kind = Repeated
	}
	l.fail(Breach{Kind: kind, Sender: sender, Seq: seq, Want: want, Got: seq})
	l.delivered[sender] = max(l.delivered[sender], seq)
}

// step chains one delivery into the running hash: the multiplier is the golden
// ratio's, the rotation makes the order count.
func step(hash uint64, sender int, seq uint64) uint64 {
	hash = (hash<<23 | hash>>41) ^ (uint64(sender)<<56 + seq)
	return hash * 0x9E3779B97F4A7C15
}

// fail keeps the first breach; those after it are mostly its consequences.
func (l *Log) fail(b Breach) {
	if l.breach == nil {
		b.At = l.total
		l.breach = &b
	}
}

// Stray notes a message that belongs to another row, or whose contents are not
// what was sent.
func (l *Log) Stray(kind Kind, sender int, seq uint64) {
	l.fail(Breach{Kind: kind, Sender: sender, Seq: seq})
}

// Total returns how many messages were delivered in sequence.
func (l *Log) Total() uint64 { return l.total }

// Count returns how many messages of one sender were delivered.
func (l *Log) Count(sender int) uint64 { return l.delivered[sender] }

// Breach returns the first breach found, or nil.
func (l *Log) Breach() *Breach { return l.breach }

// Digests returns the running hash after each full block and, last, after all
// deliveries. Members that delivered the same in the same order have equal ones.
func (l *Log) Digests() []uint64 {
	return append(append([]uint64(nil), l.digests...), l.hash)
}
