package member

import (
	"context"
	"strings"
	"testing"
)

// TestConverseEndsBeforeItReturns: who talks to a parent is given time to leave.
func TestConverseEndsBeforeItReturns(t *testing.T) {
	ended := false
	var out strings.Builder
	answer := func(_ context.Context, q int) int { return q + 1 }
	if err := Converse(t.Context(), strings.NewReader("1\n"), &out, answer, func() { ended = true }); err != nil {
		t.Fatal(err)
	}
	if !ended {
		t.Error("Converse returned before end was called")
	}
}
