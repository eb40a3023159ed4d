package engine

import (
	"testing"

	"cohort/iomulticast"
)

// TestBudgetWithoutTrains: what a lone packet takes beside its payload comes off a buffer of
// any size, also one that does not hold a packet of 64 KiB.
func TestBudgetWithoutTrains(t *testing.T) {
	for _, segment := range []int{1472, 8972, 65472} {
		for _, buffer := range []int{32 << 10, 64 << 10, 425_984, 1<<30 - 1} {
			f := iomulticast.Features{RecvBuffer: buffer, Segment: segment}
			if got, least := budget(f), buffer/2; got < least || got >= buffer {
				t.Errorf("a buffer of %d bytes and packets of %d make a budget of %d, want %d to %d", buffer, segment, got, least, buffer)
			}
		}
	}
}
