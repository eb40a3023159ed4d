// Package replay runs one seed of a simulator again and shows what happened.
package replay

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"cohort/internal/churn"
	"cohort/internal/flaw"
	"cohort/internal/sim"
)

// ErrViolation says that a property was violated: what that was has been shown.
var ErrViolation = errors.New("a property was violated")

// Options is how to run a seed.
type Options struct {
	Flaw   flaw.Set // the protocol is broken on purpose
	Shrink int      // first look for a smaller scenario that fails the same way, in at most so many runs
	Idle   bool     // of Fixed: go on with the trace when all has been delivered
	Tail   int      // of Fixed: show only so many last lines of the trace; 0: all
}

// ParseFlaw returns the flaw of this name; none if it is empty.
func ParseFlaw(name string) (flaw.Set, error) {
	if name == "" {
		return 0, nil
	}
	for _, f := range append(flaw.All(), flaw.OfChange()...) {
		if f.String() == name {
			return f, nil
		}
	}
	return 0, fmt.Errorf("--flaw %q: no such flaw; --help lists them", name)
}

// ParseFixedFlaw is ParseFlaw for Fixed, which cannot show what only the end of a view does.
func ParseFixedFlaw(name string) (flaw.Set, error) {
	f, err := ParseFlaw(name)
	if err == nil && slices.Contains(flaw.OfChange(), f) {
		return 0, fmt.Errorf("--flaw %s: only churn shows it, where views end", name)
	}
	return f, err
}

// Flaws returns the names of all flaws.
func Flaws() (names []string) {
	for _, f := range append(flaw.All(), flaw.OfChange()...) {
		names = append(names, f.String())
	}
	return names
}

// Fixed runs a seed of the simulator in which members stay. It returns ErrViolation
// if a property was violated.
func Fixed(seed uint64, o Options, out io.Writer) error {
	s := sim.Generate(seed)
	if o.Shrink > 0 {
		s = sim.ShrinkViolation(s, o.Flaw, o.Shrink)
	}
	t := &sim.Trace{Keep: o.Tail, Idle: o.Idle}
	r := sim.Run(s, o.Flaw, t)
	fmt.Fprintf(out, "%v\n%v\n", s, t)
	if r.Violation != nil {
		fmt.Fprintf(out, "%v\n", r.Violation)
		return ErrViolation
	}
	fmt.Fprintf(out, "no violation: %d messages, %d deliveries, %d packets, %v of virtual time\n",
		r.Messages, r.Delivered, r.Packets, time.Duration(r.Time))
	return nil
}

// Churn is Fixed for views that change.
func Churn(seed uint64, o Options, out io.Writer) error {
	s := churn.Generate(seed)
	if o.Shrink > 0 {
		s = churn.Shrink(s, o.Flaw, o.Shrink)
	}
	fmt.Fprintln(out, s)
	r := churn.Run(s, o.Flaw, out)
	if r.Violation != nil {
		fmt.Fprintf(out, "%v\n", r.Violation)
		return ErrViolation
	}
	fmt.Fprintf(out, "no violation: %d deliveries, %d views installed, %v of virtual time\n", r.Delivered, r.Changes, time.Duration(r.Time))
	return nil
}
