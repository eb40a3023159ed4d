package barrier

import (
	"errors"
	"testing"

	"cohort/engine"
	"cohort/internal/testring"
	"cohort/toolkit"
)

// TestWaitWhileAway: between the view that tells a member that it is expelled and the one that
// it is back in, nothing has broken: it is away.
func TestWaitWhileAway(t *testing.T) {
	b, err := Join(testring.Patient(t), testring.Add(t, testring.Cluster(t), "alone"), "bar", 1, GoOn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Wait(testring.Patient(t)); err != nil {
		t.Fatal(err)
	}
	var view toolkit.View
	b.host.Look(func(m *machine) {
		view = m.view
		m.View(toolkit.View{GroupView: engine.GroupView{Expelled: true}}, nil)
	})
	if _, err := b.Wait(testring.Patient(t)); !errors.Is(err, engine.ErrExpelled) {
		t.Errorf("%v, want ErrExpelled", err)
	}
	b.host.Look(func(m *machine) { m.View(view, nil) })
	if _, err := b.Wait(testring.Patient(t)); err != nil {
		t.Errorf("back: %v", err)
	}
}
