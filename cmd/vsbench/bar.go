package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"cohort/internal/bench/course"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// bar is progress on a terminal: a bar, and below it a line for each member.
type bar struct {
	all   *mpb.Progress
	bar   *mpb.Bar
	began time.Time

	mu      sync.Mutex
	text    string
	members []string  // of the last phase, a line each
	end     time.Time // expected at the last row; zero: not yet known
}

func (b *bar) row(done, steps int, text string) {
	b.mu.Lock()
	b.text = text
	now := time.Now()
	b.end = now.Add(time.Duration(float64(now.Sub(b.began)) / float64(done) * float64(steps-done)))
	b.mu.Unlock()
	b.bar.SetCurrent(int64(done))
}

// left tells the time left. It counts down between two rows: the library's own estimate
// would grow all the while, for it knows of no progress but rows.
func (b *bar) left() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.end.IsZero() {
		return "--:-- left"
	}
	s := int(max(time.Until(b.end), 0).Round(time.Second).Seconds())
	if s < 3600 {
		return fmt.Sprintf("%02d:%02d left", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d left", s/3600, s/60%60, s%60)
}

func (b *bar) last() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return " " + b.text
}

func (b *bar) watch() course.Watch {
	return func(f *course.Figures) {
		now := memberLines(f)
		b.mu.Lock()
		defer b.mu.Unlock()
		b.members = now
	}
}

// below writes the lines of the members, cut to the terminal's width: a line that went
// on in the next one would not be removed.
func (b *bar) below(w io.Writer, stat decor.Statistics) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.members {
		if r := []rune(l); len(r) > stat.AvailableWidth {
			l = string(r[:stat.AvailableWidth])
		}
		if _, err := fmt.Fprintln(w, l); err != nil {
			return err
		}
	}
	return nil
}

// Write writes above the bar.
func (b *bar) Write(p []byte) (int, error) { return b.all.Write(p) }

// stop removes the bar.
func (b *bar) stop() {
	b.bar.Abort(true)
	b.all.Wait()
}
