package snapshot

import (
	"errors"
	"testing"

	"cohort/engine"
	"cohort/internal/testring"
	"cohort/toolkit"
)

// TestTakeWhileAway: a snapshot that is begun between the view that tells a member that it is
// expelled and the one that it is back in is one that nobody would ever complete.
func TestTakeWhileAway(t *testing.T) {
	m, err := Join(testring.Patient(t), testring.Add(t, testring.Cluster(t), "alone"), "bank", &purse{account: 100})
	if err != nil {
		t.Fatal(err)
	}
	m.host.Look(func(k *machine) { k.View(toolkit.View{GroupView: engine.GroupView{Expelled: true}}, nil) })
	if _, err := m.Take(testring.Patient(t)); !errors.Is(err, engine.ErrExpelled) {
		t.Errorf("%v, want ErrExpelled", err)
	}
}
