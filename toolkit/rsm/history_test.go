package rsm

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// counters is an application in which it shows if a command is lost, comes twice or
// comes late: an "add" of a key, and the result is how many there have been.
type counters map[string]int

func (c counters) Apply(command []byte) []byte {
	c[string(command)]++
	return []byte(fmt.Sprint(c[string(command)]))
}

func (c counters) Snapshot() (io.ReadCloser, error) {
	b, err := json.Marshal(c)
	return io.NopCloser(strings.NewReader(string(b))), err
}

func (c counters) Restore(r io.Reader) error {
	clear(c)
	return json.NewDecoder(r).Decode(&c)
}

// history is what clients have asked and were told, for porcupine.
type history struct {
	mu  sync.Mutex
	ops []porcupine.Operation
}

type input struct {
	key string
	add bool
}

const unknown = -1 // an output: the client was told nothing

// begin notes what a client asks, and returns what notes the answer.
func (h *history) begin(client int, in input, now int64) (end func(output int, now int64)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := len(h.ops)
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: in, Call: now, Output: unknown, Return: math.MaxInt64})
	return func(output int, now int64) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.ops[i].Output, h.ops[i].Return = output, now
	}
}

func parse(t testing.TB, result []byte) (n int) {
	if _, err := fmt.Sscan(string(result), &n); err != nil {
		t.Errorf("a result of %q", result)
	}
	return n
}

// counting is one counter: an add returns the next number, a read the last.
var counting = porcupine.Model{
	Partition: func(list []porcupine.Operation) (parts [][]porcupine.Operation) {
		by := map[string][]porcupine.Operation{}
		for _, o := range list {
			if in := o.Input.(input); in.add || o.Output != unknown { // an unanswered read says nothing
				by[in.key] = append(by[in.key], o)
			}
		}
		for _, part := range by {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return 0 },
	Step: func(state, in, out any) (bool, any) {
		n := state.(int)
		if in.(input).add {
			n++
		}
		return out.(int) == unknown || out.(int) == n, n
	},
	Equal:             func(a, b any) bool { return a == b },
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v: %d", in, out) },
}

// linearizable checks the history; false if it is not, or cannot be told in time.
func (h *history) linearizable(t testing.TB) bool {
	t.Helper()
	result := porcupine.CheckOperationsTimeout(counting, h.ops, 30*time.Second)
	if result == porcupine.Unknown {
		t.Errorf("porcupine could not tell of %d operations", len(h.ops))
	}
	return result == porcupine.Ok
}

// TestCheckerItself: histories that are wrong are found so.
func TestCheckerItself(t *testing.T) {
	add, read := input{"x", true}, input{"x", false}
	for name, k := range map[string]struct {
		ok   bool
		outs []int
		ins  []input
	}{
		"one after the other": {true, []int{1, 1, 2}, []input{add, read, add}},
		"lost":                {false, []int{1, 0}, []input{add, read}},
		"twice":               {false, []int{1, 2}, []input{add, read}},
		"unknown, not done":   {true, []int{unknown, 0}, []input{add, read}},
		"unknown, done":       {true, []int{unknown, 1, 1}, []input{add, read, read}},
		"unknown, undone":     {false, []int{unknown, 1, 0}, []input{add, read, read}},
	} {
		h := &history{}
		for i, in := range k.ins {
			end := h.begin(0, in, int64(2*i))
			if k.outs[i] != unknown {
				end(k.outs[i], int64(2*i+1))
			}
		}
		if got := h.linearizable(t); got != k.ok {
			t.Errorf("%s: %v, want %v", name, got, k.ok)
		}
	}
}
