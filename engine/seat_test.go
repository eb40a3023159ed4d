package engine

import "testing"

// TestSeatOf: receivers go beside the sender, two to a processor, and nobody is told where to
// run if there are fewer or more of them, or if more than one sends.
func TestSeatOf(t *testing.T) {
	for _, c := range []struct {
		members, processors int
		sending             uint64
		want                []int // by rank
	}{
		{3, 2, 0b001, []int{-1, 1, 1}},
		{3, 2, 0b010, []int{1, -1, 1}},
		{3, 2, 0b100, []int{1, 1, -1}},
		{5, 3, 0b00001, []int{-1, 1, 2, 1, 2}},
		{5, 3, 0b00100, []int{1, 2, -1, 1, 2}},
		{3, 3, 0b001, []int{-1, -1, -1}},
		{4, 3, 0b0001, []int{-1, -1, -1, -1}},
		{4, 2, 0b0001, []int{-1, -1, -1, -1}},
		{3, 2, 0b011, []int{-1, -1, -1}},
		{3, 2, 0, []int{-1, -1, -1}},
		{3, 1, 0b001, []int{-1, -1, -1}},
		{3, 0, 0b001, []int{-1, -1, -1}},
	} {
		for rank, want := range c.want {
			if got := seatOf(rank, c.members, c.processors, c.sending); got != want {
				t.Errorf("rank %d of %d on %d processors, %b sending: %d, want %d", rank, c.members, c.processors, c.sending, got, want)
			}
		}
	}
}
