package metrics

import (
	"io"
	"net/http"
)

// Recorder is where a flight recorder is: an [engine.Node].
type Recorder interface {
	DumpRecorder(w io.Writer) error
}

// RecorderHandler serves the node's flight recorder as of now, for "vsbench replay". It
// shows names and addresses: put it where net/http/pprof may be, not in public.
func RecorderHandler(node Recorder) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jsonl")
		w.Header().Set("Content-Disposition", `attachment; filename="cohort.jsonl"`)
		_ = node.DumpRecorder(w) // who asked has gone
	})
}
