package engine

import (
	"testing"

	"cohort/flowctl"
	"cohort/iomulticast"
)

// TestBudgetWithoutTrains: what a lone packet takes beside its payload comes off a buffer of
// any size, also one that does not hold a packet of 64 KiB.
func TestBudgetWithoutTrains(t *testing.T) {
	for _, segment := range []int{1472, 8972, 65472} {
		for _, buffer := range []int{32 << 10, 64 << 10, 425_984, 1<<30 - 1} {
			f := iomulticast.Features{RecvBuffer: buffer, Segment: segment}
			if got, least := budget(f), buffer/2; got < least || got > buffer {
				t.Errorf("a buffer of %d bytes and packets of %d make a budget of %d, want %d to %d", buffer, segment, got, least, buffer)
			}
		}
	}
}

// TestBudgetIsForPacketsOfTheirOwn: what a window of trains holds fits the buffer also where
// each packet arrives by itself.
func TestBudgetIsForPacketsOfTheirOwn(t *testing.T) {
	for _, segment := range []int{1472, 4052, 8972, 65472} {
		const buffer = 8 << 20
		b := budget(iomulticast.Features{RecvBuffer: buffer, Segment: segment})
		if took := b / flowctl.Charge(segment, false) * flowctl.Charge(segment, true); took > buffer {
			t.Errorf("packets of %d bytes worth a budget of %d take %d of the buffer, which has %d", segment, b, took, buffer)
		}
	}
}
