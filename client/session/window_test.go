package session

import (
	"slices"
	"testing"
)

// sendAll takes all that is to be sent.
func sendAll(w *Window) (list []uint64) {
	for {
		m, _ := w.Next()
		if m == nil {
			return list
		}
		list = append(list, uint64(m.Group)*1000+m.Seq)
	}
}

// TestWindowSendsAgain: after a move all that is not done with goes out again, in the
// order of the calls across groups, and nothing else.
func TestWindowSendsAgain(t *testing.T) {
	w := NewWindow(2, 1<<20)
	for k := range 6 {
		w.Add(&Message{Group: k % 2, Asked: k == 2})
	}
	if got, want := sendAll(w), []uint64{1, 1001, 2, 1002, 3, 1003}; !slices.Equal(got, want) {
		t.Fatalf("sent %v, want %v", got, want)
	}
	var done []uint64
	finished := func(m *Message) { done = append(done, uint64(m.Group)*1000+m.Seq) }
	w.Acked(0, 3, finished) // 2 waits for its answers
	w.Acked(1, 2, finished)
	if want := []uint64{1, 3, 1001, 1002}; !slices.Equal(done, want) {
		t.Errorf("done with %v, want %v", done, want)
	}
	w.Moved()
	if got, want := sendAll(w), []uint64{2, 3, 1003}; !slices.Equal(got, want) {
		t.Errorf("sent %v again, want %v", got, want)
	}
	if w.Safe(5) == false || w.Safe(6) || w.Idle() {
		t.Errorf("the first 5 are safe: %v, all 6: %v, idle: %v", w.Safe(5), w.Safe(6), w.Idle())
	}
	w.Answered(0, 2, finished)
	w.Acked(1, 3, finished)
	if !w.Empty() || !w.Idle() || w.bytes != 0 || len(done) != 6 {
		t.Errorf("all is answered, but empty: %v, %d bytes, done with %v", w.Empty(), w.bytes, done)
	}
}

// TestWindowBounds: by messages of a group, and by bytes, but one always fits.
func TestWindowBounds(t *testing.T) {
	w := NewWindow(2, 100)
	if !w.Add(&Message{Payload: make([]byte, 200)}) || w.Add(&Message{Payload: make([]byte, 1)}) {
		t.Error("one message of 200 bytes fits into 100 when it is alone, and nothing beside it")
	}
	w = NewWindow(2, 100)
	question := &Message{Group: 1, Asked: true}
	w.Add(question)
	for k := range MaxWindow - 1 {
		if !w.Add(&Message{Group: 1}) {
			t.Fatalf("message %d has no room", k)
		}
	}
	w.Acked(1, MaxWindow, func(*Message) {})
	if w.Add(&Message{Group: 1}) {
		t.Errorf("more than %d after the oldest question", MaxWindow)
	}
	if !w.Add(&Message{}) {
		t.Error("one group's question holds up another group")
	}
	w.Abandon(question)
	if !w.Add(&Message{Group: 1}) {
		t.Error("no room, though nobody waits for the answers any more")
	}
}

// TestWindowForgetsBehindAQuestion: one that is never answered costs the other groups no
// memory.
func TestWindowForgetsBehindAQuestion(t *testing.T) {
	w := NewWindow(2, 1<<20)
	w.Add(&Message{Group: 1, Asked: true})
	for range 20 * MaxWindow {
		m := &Message{}
		if !w.Add(m) {
			t.Fatal("no room")
		}
		sendAll(w)
		w.Acked(0, m.Seq, func(*Message) {})
	}
	if len(w.queue) > 4*MaxWindow+1 {
		t.Errorf("%d messages are kept, of which 1 is waited for", len(w.queue))
	}
}
