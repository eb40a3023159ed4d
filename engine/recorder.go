package engine

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// DumpRecorder writes the node's flight recorder to w: its last events, in the format
// that "vsbench replay" reads. It does not hold up the loop, nor wait for it: it may be
// called when a handler hangs, and after Close. Errors are w's.
func (n *Node) DumpRecorder(w io.Writer) error {
	return n.obs.rec.Dump(w, n.now(), "asked for")
}

// Why the recorder is written without being asked for.
const (
	dumpBlocked  = "no-quorum"
	dumpExpelled = "expelled"
	dumpFailed   = "failed"
)

const (
	maxDumps  = 32              // files of one node; older ones are removed
	dumpEvery = 2 * time.Second // for the same reason at most
)

// dumps is the files that the recorder has been written to.
type dumps struct {
	mu    sync.Mutex
	files []string             // oldest first
	last  map[string]time.Time // by reason; the loop's
}

// dump writes the recorder to a file of its own, if it is to be, on another goroutine.
func (n *Node) dump(reason string) {
	d := &n.dumps
	if n.cfg.Recorder == "" || time.Since(d.last[reason]) < dumpEvery {
		return
	}
	if d.last == nil {
		d.last = map[string]time.Time{}
	}
	d.last[reason] = time.Now()
	n.work.Go(func() {
		n.label("recorder")
		d.mu.Lock()
		defer d.mu.Unlock()
		path, err := n.writeDump(reason)
		if err != nil {
			n.cfg.Logger.Error("the flight recorder could not be written", "error", err)
			return
		}
		n.cfg.Logger.Info("the flight recorder has been written", "file", path, "reason", reason)
		if d.files = append(d.files, path); len(d.files) > maxDumps {
			_ = os.Remove(d.files[0]) // somebody else has tidied up, or will
			d.files = d.files[1:]
		}
	})
}

// writeDump returns the path of the file, which is whole from the moment that it is there.
func (n *Node) writeDump(reason string) (path string, err error) {
	stamp := time.Now().UTC().Format("20060102T150405.000000")
	path = filepath.Join(n.cfg.Recorder, fmt.Sprintf("cohort-%s-%s-%s.jsonl", fileName(n.cfg.Name), stamp, reason))
	f, err := os.CreateTemp(n.cfg.Recorder, ".cohort-*")
	if err != nil {
		return "", err
	}
	err = n.obs.rec.Dump(f, n.now(), reason)
	if failed := f.Close(); err == nil {
		err = failed
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return path, err
}

// fileName is a node's name as a part of a file's.
func fileName(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		}
		return '_'
	}, name)
}
