package raw

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"cohort/internal/bench/clock"
	"cohort/internal/bench/load"
	"cohort/internal/bench/member"
	"cohort/iomulticast"
)

// TestAnswersComeBack: members that answer from inside the sink are heard, also those
// that send nothing else, and those that have sent all they had.
func TestAnswersComeBack(t *testing.T) {
	for _, senders := range []int{1, 3} {
		for _, size := range []int{load.MinSize, 100_000} {
			row := member.Row{Number: 5, Size: size, Members: 3, Senders: senders, Timing: member.RoundTrip}
			cfg := iomulticast.Config{Interface: "lo", Group: randomGroup(), Segment: 1472}
			var echoes [3]atomic.Int64 // to each sender
			ms := make([]*Medium, 3)
			for i := range ms {
				sink := func(_ int, b []byte) {
					switch from := load.From(b); {
					case load.IsEcho(b) && from == i:
						echoes[i].Add(1)
					case !load.IsEcho(b) && (from+1)%3 == i:
						answer := slices.Clone(b)
						load.MarkEcho(answer)
						if err := ms[i].Answer(answer); err != nil {
							t.Error(err)
						}
					}
				}
				m, err := Open(cfg, 78, sink)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = m.Close() }) // TestFloodArrivesWhole looks at its error
				ms[i], row.Self = m, i
				if err := m.Begin(row); err != nil {
					t.Fatal(err)
				}
			}
			send(t, ms, row, func(s load.Sender) *load.Source {
				return load.NewPaced(s, clock.Now(), time.Millisecond, 50)
			})
			for i := range senders {
				eventually(t, "answers", func() bool { return echoes[i].Load() == 50 })
			}
		}
	}
}
