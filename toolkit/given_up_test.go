package toolkit_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"cohort/engine"
	"cohort/internal/testring"
	"cohort/toolkit"
)

// picky is a tally that can be restored once.
type picky struct {
	tally
	times int
}

func (p *picky) Restore(r io.Reader) error {
	if p.times++; p.times > 1 {
		return errors.New("no")
	}
	return p.tally.Restore(r)
}

// TestGivenUp: what waits ends when the engine gives the group up, since its state could not
// be restored after an expulsion.
func TestGivenUp(t *testing.T) {
	nodes := testring.Open(t, 3, testring.Timeout)
	var hs []*toolkit.Host[*picky]
	for _, n := range nodes {
		h, err := toolkit.Join(testring.Patient(t), n, "g", &picky{})
		if err != nil {
			t.Fatal(err)
		}
		hs = append(hs, h)
	}
	h := hs[2]
	gate := make(chan struct{})
	open := sync.OnceFunc(func() { close(gate) })
	t.Cleanup(open)
	st, err := nodes[2].Join(testring.Patient(t), "stall", engine.HandlerFunc(func(*engine.Message) { <-gate }))
	if err != nil {
		t.Fatal(err)
	}
	_ = st.Send(testring.Patient(t), engine.FIFO, nil)
	testring.Eventually(t, "without it", func() bool { return len(nodes[0].View().Members) == 2 })
	open()
	testring.Eventually(t, "it has given the group up", func() bool {
		return errors.Is(h.Group().TrySend(engine.FIFO, nil), engine.ErrNotMember)
	})
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	for {
		err = h.Await(ctx, func(*picky) (bool, error) { return false, nil })
		if !errors.Is(err, engine.ErrExpelled) {
			break
		}
	}
	if !errors.Is(err, engine.ErrNotMember) {
		t.Errorf("Await: %v, want ErrNotMember", err)
	}
}
