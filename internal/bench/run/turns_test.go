package run

import (
	"errors"
	"testing"
)

// TestTurnsAreBalanced: each level is at each place equally often, and after each other one.
func TestTurnsAreBalanced(t *testing.T) {
	for n := 1; n <= 10; n++ {
		places, after := map[[2]int]int{}, map[[2]int]int{}
		for k := range 2 * n {
			order := turns(n, k)
			for i, level := range order {
				places[[2]int{level, i}]++
				if i > 0 {
					after[[2]int{order[i-1], level}]++
				}
			}
		}
		for level := range n {
			for other := range n {
				if got := places[[2]int{level, other}]; got != 2 {
					t.Errorf("%d levels: level %d is %d times at place %d, want 2", n, level, got, other)
				}
				if got := after[[2]int{other, level}]; other != level && got != 2 {
					t.Errorf("%d levels: level %d comes %d times after %d, want 2", n, level, got, other)
				}
			}
		}
	}
}

func TestTurnsEndWithAnError(t *testing.T) {
	calls, wrong := 0, errors.New("wrong")
	err := inTurns(3, 0, func(i int) error {
		calls++
		if calls == 2 {
			return wrong
		}
		return nil
	})
	if calls != 2 || !errors.Is(err, wrong) {
		t.Errorf("%d calls, error %v", calls, err)
	}
}
