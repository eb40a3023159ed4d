package vote

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"cohort/internal/testring"
)

// TestMoreProposalsThanAreKept at a time: each proposer gets its outcome, also where many more
// decisions are made before it looks.
func TestMoreProposalsThanAreKept(t *testing.T) {
	b, err := Join(testring.Patient(t), testring.Add(t, testring.Cluster(t), "alone"), "votes", AtLeast(0),
		func(context.Context, string, []byte) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	ctx := testring.Patient(t)
	var wg sync.WaitGroup
	for i := range 4 * Kept {
		wg.Go(func() {
			if _, err := b.Propose(ctx, fmt.Sprint("key ", i), nil); err != nil {
				t.Errorf("proposal %d: %v", i, err)
			}
		})
	}
	wg.Wait()
}
