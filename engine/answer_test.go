package engine

import (
	"errors"
	"testing"
)

// TestAnswerTo: a handler before another takes over where that one's answers go, for one
// message at a time.
func TestAnswerTo(t *testing.T) {
	for name, wrap := range map[string]func(Handler) Handler{
		"inline": func(h Handler) Handler { return h },
		"queued": func(h Handler) Handler { return Queued(h, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			nodes := openRing(t, 1, nil)
			caught := make(chan string, 1)
			errs := make(chan error, 1)
			inner := func(m *Message) {
				if m.Asked() != (string(m.Payload) == "caught") {
					t.Errorf("%q: asked %v", m.Payload, m.Asked())
				}
				errs <- m.Reply([]byte("answer"))
			}
			g := joinAll(t, nodes, "answers", func(int) Handler {
				return wrap(HandlerFunc(func(m *Message) {
					if string(m.Payload) == "caught" {
						m.AnswerTo(func(b []byte) error {
							caught <- string(b)
							return nil
						})
					}
					inner(m)
				}))
			})[0]
			for _, payload := range []string{"caught", "plain"} {
				if err := g.Send(patient(t), FIFO, []byte(payload)); err != nil {
					t.Fatal(err)
				}
				if err := <-errs; (payload == "plain") != errors.Is(err, ErrConfig) {
					t.Errorf("a reply to the message %q: %v", payload, err)
				}
			}
			if got := <-caught; got != "answer" {
				t.Errorf("caught %q, want the answer", got)
			}
		})
	}
}
