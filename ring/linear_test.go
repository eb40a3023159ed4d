package ring

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// Operations of the model: a bounded queue of numbers. They are all of one
// granule, so that full has one meaning.
type (
	pushOp struct{ value uint64 } // output: whether it was taken
	popOp  struct{}               // output: popped
	popped struct {
		value uint64
		ok    bool
	}
)

const modelCapacity = 8

var boundedQueue = porcupine.Model{
	Init: func() any { return []uint64(nil) },
	Step: func(state, input, output any) (bool, any) {
		q := state.([]uint64)
		if in, ok := input.(pushOp); ok {
			if !output.(bool) {
				return len(q) == modelCapacity, q
			}
			return len(q) < modelCapacity, append(slices.Clone(q), in.value)
		}
		out := output.(popped)
		if !out.ok {
			return len(q) == 0, q
		}
		if len(q) == 0 || q[0] != out.value {
			return false, q
		}
		return true, q[1:]
	},
	Equal: func(a, b any) bool { return slices.Equal(a.([]uint64), b.([]uint64)) },
}

// history records operations with their times.
type history struct {
	start time.Time
	mu    sync.Mutex
	ops   []porcupine.Operation
}

func (h *history) do(client int, input any, f func() any) any {
	if rand.IntN(3) == 0 {
		runtime.Gosched()
	}
	call := time.Since(h.start)
	out := f()
	back := time.Since(h.start)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{
		ClientId: client, Input: input, Call: int64(call), Output: out, Return: int64(back),
	})
	return out
}

func (h *history) check(t *testing.T, round int) {
	t.Helper()
	if res := porcupine.CheckOperationsTimeout(boundedQueue, h.ops, patience); res != porcupine.Ok {
		t.Fatalf("round %d: %v: %+v", round, res, h.ops)
	}
}

func pop(r records) popped {
	meta, _, ok := r.Peek()
	if !ok {
		return popped{}
	}
	r.Next()
	r.Release()
	return popped{meta, true}
}

// linearize runs producers that push per records each, by push, and a consumer
// that pops them all, and returns the history. Pops that found nothing are
// recorded only if empties is set.
func linearize(r records, producers, per int, empties bool, push func(value uint64) bool) *history {
	h := &history{start: time.Now()}
	var wg sync.WaitGroup
	for id := range producers {
		wg.Go(func() {
			for i := 0; i < per; {
				v := uint64(id*per + i)
				if h.do(id, pushOp{v}, func() any { return push(v) }).(bool) {
					i++
				} else {
					runtime.Gosched()
				}
			}
		})
	}
	for n := 0; n < producers*per; {
		if !empties && r.Empty() {
			runtime.Gosched()
			continue
		}
		if h.do(producers, popOp{}, func() any { return pop(r) }).(popped).ok {
			n++
		}
	}
	wg.Wait()
	return h
}

const linearRounds = 400

// A pop of an MPSC that finds nothing is not recorded: it may overlook a finished
// push behind one that is still copying, as the type's comment says.
func TestMPSCIsLinearizable(t *testing.T) {
	for round := range linearRounds {
		r := NewMPSC(0)
		linearize(r, 3, 8, false, func(v uint64) bool { return r.TryPush(v, nil) }).check(t, round)
	}
}

func TestMPSCIsLinearizableWaiting(t *testing.T) {
	for round := range linearRounds {
		r := NewMPSC(0)
		linearize(r, 3, 8, false, func(v uint64) bool {
			return r.Push(context.Background(), v, nil) == nil
		}).check(t, round)
	}
}

func TestSPSCIsLinearizable(t *testing.T) {
	for round := range linearRounds {
		r := NewSPSC(0)
		linearize(r, 1, 24, true, func(v uint64) bool { return r.TryPush(v, nil) }).check(t, round)
	}
}
