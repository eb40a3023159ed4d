package main

import (
	"fmt"
	"io"
	"time"

	"cohort/engine/recorder"
)

// timeline is what nodes' flight recorders have kept, for replay to show.
type timeline struct {
	dumps []*recorder.Dump
	last  time.Duration // only so much of the end; 0: all
}

// readTimeline reads the files. The error names what is wrong.
func readTimeline(files []string, last time.Duration) (*timeline, error) {
	if last < 0 {
		return nil, fmt.Errorf("--last: %v: want 0 or more", last)
	}
	dumps, err := recorder.ReadFiles(files)
	if err != nil {
		return nil, err
	}
	return &timeline{dumps, last}, nil
}

// show prints it.
func (t *timeline) show(w io.Writer) error { return recorder.Print(w, t.dumps, t.last) }
