package engine

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ownThread gives the test a thread that ends with it, for one that runs elsewhere than it may
// is no good to others. It returns where that may run, and skips where there is but one processor.
func ownThread(t *testing.T) (all unix.CPUSet) {
	runtime.LockOSThread()
	if all = mayRun(t, 0); all.Count() < 2 {
		t.Skip("there is one processor: nothing to choose")
	}
	return all
}

// mayRun returns the processors that a thread may run on; 0 is the calling one.
func mayRun(t *testing.T, thread int) (set unix.CPUSet) {
	if err := unix.SchedGetaffinity(thread, &set); err != nil {
		t.Fatal(err)
	}
	return set
}

// seated returns a seat of the calling thread on the last of its processors.
func seated(t *testing.T, now int64) *seat {
	s := &seat{}
	if s.take(now, 1, s.thread.count()-1); !s.held || mayRun(t, 0) != s.thread.one || s.thread.one.Count() != 1 {
		t.Fatalf("held %v, may run on %d processors, want 1", s.held, s.thread.one.Count())
	}
	return s
}

// TestSeatIsLeft by a loop that has not been busy for a while, and not before.
func TestSeatIsLeft(t *testing.T) {
	all := ownThread(t)
	s := seated(t, 0)
	s.stay(seatFree/2, true)
	if s.stay(seatFree, false); !s.held {
		t.Error("left too early")
	}
	if s.stay(2*seatFree, false); s.held || mayRun(t, 0) != all {
		t.Error("a loop that is not busy any more has not left its processor")
	}
}

// TestSeatIsLeftWhereItIsTooNarrow: the loop had its processor for none of the time and has not
// rested either. One that rested is content.
func TestSeatIsLeftWhereItIsTooNarrow(t *testing.T) {
	all := ownThread(t)
	s := seated(t, 0)
	s.rested(seatLook / 16)
	if s.stay(seatLook, true); !s.held {
		t.Error("a loop that found time to rest has left its processor")
	}
	if s.stay(2*seatLook, true); s.held || mayRun(t, 0) != all {
		t.Error("a loop that only waited has not left its processor")
	}
	if s.not != 2*seatLook+seatAgain {
		t.Errorf("it may be taken again at %d", s.not)
	}
}

// TestSeatIsKeptByWhoRuns all the time: it waits for nothing.
func TestSeatIsKeptByWhoRuns(t *testing.T) {
	ownThread(t)
	s := seated(t, 0)
	began := s.thread.ran()
	for s.thread.ran()-began < seatLook {
	}
	if s.stay(seatLook, true); !s.held {
		t.Error("a loop that had its processor for all of the time has left it")
	}
}

// first returns the first of some processors.
func first(all unix.CPUSet) (one unix.CPUSet) {
	for cpu := 0; one.Count() == 0; cpu++ {
		if all.IsSet(cpu) {
			one.Set(cpu)
		}
	}
	return one
}

// TestOthersDecideWhereToRun: who sets a loop's processors while it has a seat is not overruled,
// and who did before finds them as they were.
func TestOthersDecideWhereToRun(t *testing.T) {
	one := first(ownThread(t))
	s := seated(t, 0)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Fatal(err)
	}
	if s.leave(); mayRun(t, 0) != one {
		t.Error("what was chosen meanwhile was undone")
	}
	if seated(t, 0).leave(); mayRun(t, 0) != one {
		t.Error("what was chosen before was undone")
	}
}

// TestReceiversTakeSeats in a view with one member more than there are processors, while one
// member sends as fast as it can, and leave them when they send, or nothing is sent any more. The
// sender takes none.
func TestReceiversTakeSeats(t *testing.T) {
	all := mayRun(t, 0)
	if runtime.NumCPU() != 2 || all.Count() != 2 {
		t.Skipf("this process may run on %d processors: three members need 2 of them to be short of room", all.Count())
	}
	nodes := openRing(t, 3, nil)
	groups := joinAll(t, nodes, "seats", func(int) Handler { return HandlerFunc(func(*Message) {}) })
	processors := func(i int) int {
		set := mayRun(t, int(nodes[i].loop.Load()))
		return set.Count()
	}
	ctx := patient(t)
	sent := func(senders []*Group) {
		for until := time.Now().Add(20 * time.Millisecond); time.Now().Before(until); {
			for _, g := range senders {
				if err := g.Send(ctx, FIFO, make([]byte, 8192)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	eventually(t, "both receivers keep to a processor", func() bool {
		sent(groups[:1])
		return processors(1) == 1 && processors(2) == 1
	})
	if got := processors(0); got != 2 {
		t.Errorf("the sender may run on %d processors, want 2", got)
	}
	eventually(t, "a member that sends too may run on both", func() bool {
		sent(groups[:2])
		return processors(1) == 2
	})
	eventually(t, "they may run on both again", func() bool { return processors(1) == 2 && processors(2) == 2 })
}
