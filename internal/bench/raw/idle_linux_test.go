package raw

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cohort/internal/bench/member"
	"cohort/iomulticast"
)

// TestIdleTakesNoCPU: what members say once a row has ended does not have a medium spin,
// which would take a core from what is measured next.
func TestIdleTakesNoCPU(t *testing.T) {
	ms, _ := open(t, member.Row{Number: 1, Level: member.Raw, Size: 64, Members: 3, Senders: 1}, iomulticast.Config{})
	for _, m := range ms {
		to, err := net.Dial("udp4", m.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer to.Close()
		if _, err := to.Write([]byte("late")); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(50 * time.Millisecond)
	before := cpu(t)
	time.Sleep(300 * time.Millisecond)
	if used := cpu(t) - before; used > 100*time.Millisecond {
		t.Errorf("idle for 300 ms, and %v of CPU time are used", used)
	}
}

func cpu(t *testing.T) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
