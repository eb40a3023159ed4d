package member

import (
	"context"
	"testing"

	"cohort/internal/bench/load"
)

// regulated is a medium whose window is full while it sends and empty otherwise.
type regulated struct {
	flow Flow
}

func (*regulated) Begin(Row) error { return nil }
func (*regulated) Losses() Losses  { return Losses{} }
func (r *regulated) Flow() Flow    { return r.flow }
func (r *regulated) Send(context.Context, *load.Source) error {
	r.flow = Flow{TokenPasses: 17, WindowBytes: 9, WindowLimit: 10}
	return nil
}

func TestFlowIsOfThePhase(t *testing.T) {
	m := &regulated{Flow{TokenPasses: 10, WindowLimit: 10}}
	s := &session{medium: m, row: Row{Level: Raw, Members: 2, Senders: 1, Size: load.MinSize}, past: load.NewPast(2)}
	if err := s.prepare(Phase{Kind: Lone, Count: 1}); err != nil {
		t.Fatal(err)
	}
	if f := *s.flow(); f != (Flow{WindowLimit: 10}) {
		t.Errorf("%+v of a member that has sent nothing, want an empty window of 10 bytes", f)
	}
	if _, err := s.send(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.flow = Flow{TokenPasses: 20, WindowLimit: 12} // all is delivered
	if f := *s.flow(); f != (Flow{10, 9, 10}) {
		t.Errorf("%+v, want 10 passes, and the window as it was at the end of sending, 9 of 10 bytes", f)
	}
}
