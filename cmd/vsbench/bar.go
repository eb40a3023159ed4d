package main

import (
	"sync"

	"github.com/vbauerster/mpb/v8"
)

// bar is progress on a terminal.
type bar struct {
	all *mpb.Progress
	bar *mpb.Bar

	mu   sync.Mutex
	text string
}

func (b *bar) row(done, _ int, text string) {
	b.mu.Lock()
	b.text = text
	b.mu.Unlock()
	b.bar.SetCurrent(int64(done))
}

func (b *bar) last() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return " " + b.text
}

// Write writes above the bar.
func (b *bar) Write(p []byte) (int, error) { return b.all.Write(p) }

// stop removes the bar.
func (b *bar) stop() {
	b.bar.Abort(true)
	b.all.Wait()
}
