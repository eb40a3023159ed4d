package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"time"

	"cohort/engine"
	"cohort/membership"
)

// feed is the group as one member sees it. Its state is the number of the last tick, which
// whoever joins gets: so that a standby knows it, and a subscriber what comes next.
type feed struct {
	name      string
	publishes bool
	self      func() uint64 // ID of this member

	mu      sync.Mutex
	last    uint64 // number of the last tick delivered
	ticks   int    // delivered here
	wrong   int    // of these, with a number that is not the last plus one
	at      time.Time
	source  uint64 // ID of who sent the last
	longest time.Duration
	primary uint64 // ID of the oldest publisher
	term    int    // counts the times that it has become this member; 0 or the count, negated, if it is not
	sent    uint64 // number of the last tick published here
}

// Deliver takes a tick: its number in 8 bytes, and the text.
func (f *feed) Deliver(m *engine.Message) {
	if len(m.Payload) >= 8 {
		f.take(time.Now(), m.From(), binary.LittleEndian.Uint64(m.Payload), m.Payload[8:])
	}
}

func (f *feed) take(now time.Time, from membership.Member, num uint64, text []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	silence := now.Sub(f.at)
	if num != f.last+1 {
		f.wrong++
		f.say("tick %d after tick %d", num, f.last)
	}
	switch {
	case f.ticks == 0:
		f.say("%s begins with tick %d (%s)", from.Name, num, text)
	case from.ID != f.source:
		f.say("%s goes on with tick %d (%s) after %.1f ms of silence", from.Name, num, text, milliseconds(silence))
		fallthrough
	default:
		f.longest = max(f.longest, silence)
	}
	f.last, f.at, f.source = num, now, from.ID
	f.ticks++
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }

// View comes after all that a member who has failed had sent, as far as anybody goes on
// with it.
func (f *feed) View(v engine.GroupView) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range v.Left {
		if d.ID == f.primary && d.Reason != membership.Left {
			f.say("%s, which was the primary, has failed", d.Name)
		}
	}
	f.primary = 0
	for _, m := range v.Members {
		if strings.HasPrefix(m.Name, publisher) {
			f.primary = m.ID
			break
		}
	}
	switch mine := f.publishes && f.primary == f.self(); {
	case v.Expelled:
		f.say("the others have gone on without me")
		f.term = min(f.term, -f.term)
	case mine && f.term <= 0:
		f.term = 1 - f.term
		f.sent = f.last
		f.say("publishes, from tick %d on", f.last+1)
	}
}

// next makes the next tick of a term; nil if another publishes.
func (f *feed) next() (tick []byte, term int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.term <= 0 {
		return nil, 0
	}
	f.sent++
	price := 100 + 5*math.Sin(float64(f.sent)/300)
	return fmt.Appendf(binary.LittleEndian.AppendUint64(nil, f.sent), "SAP %.2f", price), f.term
}

// takeBack takes back a tick that could not be sent.
func (f *feed) takeBack(term int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.term == term {
		f.sent--
	}
}

// Snapshot gives the number of the last tick.
func (f *feed) Snapshot() (io.ReadCloser, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return io.NopCloser(bytes.NewReader(binary.LittleEndian.AppendUint64(nil, f.last))), nil
}

// Restore takes it.
func (f *feed) Restore(r io.Reader) error {
	b, err := io.ReadAll(io.LimitReader(r, 9))
	if err != nil {
		return err
	}
	if len(b) != 8 {
		return fmt.Errorf("a state of %d bytes, want 8", len(b))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = binary.LittleEndian.Uint64(b)
	return nil
}

func (f *feed) say(format string, args ...any) {
	fmt.Printf("%s: %s\n", f.name, fmt.Sprintf(format, args...))
}

// sum says what has come in all.
func (f *feed) sum() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.wrong > 0 {
		return fmt.Errorf("%s: %d of %d ticks out of turn", f.name, f.wrong, f.ticks)
	}
	if f.ticks == 0 {
		return errors.New(f.name + ": no ticks")
	}
	f.say("%d ticks, the last is %d; no gap, no duplicate; longest silence %.1f ms", f.ticks, f.last, milliseconds(f.longest))
	return nil
}
