package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"cohort/internal/bench/course"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// progress shows how far a run is. What is written to it goes to standard error
// without spoiling that.
type progress interface {
	io.Writer
	row(done, steps int, text string)
	watch() course.Watch // of the members; nil: nobody is shown them
	stop()
}

// newProgress returns a bar if stderr is a terminal, and otherwise lines.
func newProgress(stderr io.Writer, steps int) progress {
	f, ok := stderr.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return lines{stderr}
	}
	b := &bar{all: mpb.New(mpb.WithOutput(stderr), mpb.WithWidth(32)), text: "starting", began: time.Now()}
	b.bar = b.all.AddBar(int64(steps),
		mpb.PrependDecorators(decor.CountersNoUnit("%d/%d rows "), decor.Any(func(decor.Statistics) string { return b.left() })),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return b.last() })),
		mpb.BarExtender(mpb.BarFillerFunc(b.below), false),
		mpb.BarRemoveOnComplete(),
	)
	return b
}

// lines is progress on something that is not a terminal.
type lines struct{ io.Writer }

func (l lines) row(done, steps int, text string) {
	fmt.Fprintf(l, "[%d/%d] %s\n", done, steps, text)
}

func (l lines) watch() course.Watch { return nil }

func (l lines) stop() {}
