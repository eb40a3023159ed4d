package engine

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// threadID tells the loop's goroutine, which keeps its thread, from all others.
func threadID() uint64 { return uint64(unix.Gettid()) }

// affinity is where the calling thread may run: the loop's.
type affinity struct{ all, one, back unix.CPUSet }

// count returns how many processors it may run on, and remembers which; 0 if that is not known.
func (a *affinity) count() int {
	if err := unix.SchedGetaffinity(0, &a.all); err != nil {
		return 0
	}
	return a.all.Count()
}

// keep has it run on the k-th of them only.
func (a *affinity) keep(k int) error {
	a.one.Zero()
	for cpu := range 8 * int(unsafe.Sizeof(a.all)) {
		switch {
		case !a.all.IsSet(cpu):
		case k > 0:
			k--
		default:
			a.one.Set(cpu)
			a.widen()
			return unix.SchedSetaffinity(0, &a.one)
		}
	}
	return unix.EINVAL
}

// widen finds out what is to be given back. Linux remembers what a thread asked for, also when
// its cpuset grows: so that is all processors there are, if nothing but the cpuset bounds it.
func (a *affinity) widen() {
	var every, got unix.CPUSet
	for i := range every {
		every[i] = ^every[i]
	}
	a.back = every
	if unix.SchedSetaffinity(0, &every) != nil || unix.SchedGetaffinity(0, &got) != nil || got != a.all {
		a.back = a.all
		_ = unix.SchedSetaffinity(0, &a.back) // fails only if keep does
	}
}

// free has it run on all of them again, unless others have decided otherwise meanwhile: but
// that they chose the very one that it keeps to cannot be told.
func (a *affinity) free() {
	var now unix.CPUSet
	if err := unix.SchedGetaffinity(0, &now); err == nil && now == a.one {
		_ = unix.SchedSetaffinity(0, &a.back) // fails if none of them is ours any more: then the system has chosen others
	}
}

// ran returns the processor time that it has taken, ns; less than 0 if that is not known.
func (a *affinity) ran() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		return -1
	}
	return t.Nano()
}
