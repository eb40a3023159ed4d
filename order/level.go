// Package order holds the pure rules by which messages become deliverable:
// levels, causal vectors, the ordering token and its records, rows and
// stability. Nothing here touches a socket, a clock or a goroutine.
package order

import "fmt"

// Level is what a message is promised: one of three orders, and optionally
// uniformity ("safe"). The zero Level is FIFO. See Birman & Joseph, "Reliable
// Communication in the Presence of Failures" (1987) for fbcast, cbcast and
// abcast, and Moser et al., "Extended Virtual Synchrony" (1994) for safe.
type Level uint8

// The three orders, weakest and cheapest first.
const (
	// FIFO (fbcast): delivered in its sender's order.
	FIFO Level = 0
	// Causal (cbcast): delivered after all that its sender had delivered or
	// sent before it.
	Causal Level = 1
	// Total (abcast): delivered at the same place in one order at every
	// member; that order respects causality.
	Total Level = 2

	orderMask Level = 3
	safeBit   Level = 4
	allBit    Level = 8
)

// Safe returns the level with dynamic uniformity added: a message is delivered
// only once a majority of the view holds it and its causal past, so that no
// failure of a minority can erase a message that anyone delivered.
func (l Level) Safe() Level { return l&^allBit | safeBit }

// SafeAll is the stricter choice: delivered only once every member of the view
// holds it. One slow member delays every such message.
func (l Level) SafeAll() Level { return l | safeBit | allBit }

// Order returns FIFO, Causal or Total, without the safe part.
func (l Level) Order() Level { return l & orderMask }

// IsSafe tells whether the level asks for uniformity by majority or by all.
func (l Level) IsSafe() bool { return l&safeBit != 0 }

// IsSafeAll tells whether the level asks that every member holds the message.
func (l Level) IsSafeAll() bool { return l&allBit != 0 }

// Join returns the weakest level that promises all that l and o promise. A
// packet is ordered at the join of its messages' levels.
func (l Level) Join(o Level) Level {
	return max(l.Order(), o.Order()) | (l|o)&(safeBit|allBit)
}

// Valid tells whether l is one of the levels that exist; a level from the
// network need not be.
func (l Level) Valid() bool { return l < 16 && valid>>l&1 != 0 }

// valid has a bit for each level: the three orders, with safeBit, and with both bits.
const valid = 7 | 7<<safeBit | 7<<(safeBit|allBit)

var names = [...]string{FIFO: "fbcast", Causal: "cbcast", Total: "abcast"}

// String gives the classical name: "fbcast", "cbcast", "abcast", with "safe-"
// (majority) or "safe-all-" before it.
func (l Level) String() string {
	switch {
	case !l.Valid():
		return fmt.Sprintf("Level(%d)", uint8(l))
	case l.IsSafeAll():
		return "safe-all-" + names[l.Order()]
	case l.IsSafe():
		return "safe-" + names[l.Order()]
	}
	return names[l.Order()]
}

// Parse is the inverse of String; it also takes "gbcast" for safe abcast. The
// error names the value and what was expected.
func Parse(s string) (Level, error) {
	for _, safe := range []func(Level) Level{func(l Level) Level { return l }, Level.Safe, Level.SafeAll} {
		for _, l := range []Level{FIFO, Causal, Total} {
			if safe(l).String() == s {
				return safe(l), nil
			}
		}
	}
	if s == "gbcast" {
		return Total.Safe(), nil
	}
	return 0, fmt.Errorf("order: level %q: want fbcast, cbcast or abcast, with safe- or safe-all- before it", s)
}
