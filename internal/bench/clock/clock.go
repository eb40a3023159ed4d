// Package clock gives all processes of one machine the same time, cheaply
// enough to be read for every message, and sleeps that end when they should.
package clock

import "time"

// Never is later than any time.
const Never = int64(1<<63 - 1)

var (
	base   = time.Now()
	offset = common(base)
)

// Now returns the time in ns of a clock that never jumps and is the same for all
// processes of this machine. It makes no system call.
func Now() int64 { return offset + int64(time.Since(base)) }
