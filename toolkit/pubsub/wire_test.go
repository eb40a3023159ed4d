package pubsub

import (
	"bytes"
	"testing"

	"cohort/engine"
)

func FuzzParseMessage(f *testing.F) {
	f.Add(appendMessage(nil, "a.b", []byte("x")))
	f.Add([]byte{tagMessage, 200, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		topic, payload, err := parseMessage(b)
		if err != nil {
			return
		}
		if again := appendMessage(nil, string(topic), payload); !bytes.Equal(again, b) {
			t.Errorf("%x became %x", b, again)
		}
	})
}

// FuzzReadHistory: a state of any bytes is refused, or is one that gives itself again.
func FuzzReadHistory(f *testing.F) {
	h := newHistory(limits{2, 1 << 20})
	h.epoch = epoch{1, 2}
	for k, name := range []string{"a", "a.b", "a"} {
		num, _ := h.count(7)
		h.keep(h.topic([]byte(name)), 7, num, engine.Total, []byte{byte(k)})
	}
	h.leave(7)
	f.Add(h.snapshot())
	f.Add(h.snapshot()[:40])
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := readHistory(bytes.NewReader(b), limits{2, 1 << 20})
		if err != nil {
			return
		}
		s := h.snapshot()
		again, err := readHistory(bytes.NewReader(s), h.limits)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again.snapshot(), s) {
			t.Error("a state is another once it has been read")
		}
	})
}
