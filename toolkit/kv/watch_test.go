package kv

import (
	"testing"

	"cohort/internal/testring"
)

// TestAllThatCannotBeDecoded is still what a watcher needs first: changes alone would leave it
// without the rest of the map.
func TestAllThatCannotBeDecoded(t *testing.T) {
	nodes := testring.Open(t, 2, testring.Timeout)
	numbers, err := Join(testring.Patient(t), nodes[0], "m", Config[string, int]{})
	if err != nil {
		t.Fatal(err)
	}
	texts, err := Join(testring.Patient(t), nodes[1], "m", Config[string, string]{})
	if err != nil {
		t.Fatal(err)
	}
	must(numbers.Put(testring.Patient(t), "a", 1))(t)
	must(texts.Put(testring.Patient(t), "b", "no number"))(t)
	testring.Eventually(t, "both are here", func() bool { return numbers.Len() == 2 })
	w := numbers.Watch()
	defer w.Close()
	if e, err := w.Next(testring.Patient(t)); err == nil {
		t.Fatalf("%+v, want the codec's error", e)
	}
	must(texts.Delete(testring.Patient(t), "b"))(t)
	testring.Eventually(t, "one is gone", func() bool { return numbers.Len() == 1 })
	if e, err := w.Next(testring.Patient(t)); err != nil || e.All["a"] != 1 {
		t.Errorf("%+v, %v; want all of the map", e, err)
	}
}
