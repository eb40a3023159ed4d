package sim

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cohort/order"
)

var update = flag.Bool("update", false, "write the stories as they are now to testdata")

// stories are conversations worth reading: what is sent, lost and delivered, with
// 100 µs from member to member. A change of the protocol shows as a change of
// the file of that name in testdata. The habit is that of etcd's raft.
var stories = []struct {
	name    string
	members int
	ops     []Op
}{
	{"token", 3, []Op{ // the token is used in place, asked for by traffic, rotates, and parks
		{At: 1 * milli, Member: 0, Count: 1, Level: order.Total, Size: 100},
		{At: 5 * milli, Member: 1, Count: 2, Level: order.Total, Size: 100},
		{At: 9 * milli, Member: 1, Count: 1, Level: order.Total, Size: 100},
		{At: 13 * milli, Member: 0, Count: 1, Level: order.Total, Size: 100},
		{At: 13 * milli, Member: 2, Count: 1, Level: order.Total, Size: 100},
	}},
	{"repair", 3, []Op{ // a hole is asked for at once, a lost tail when it is announced
		{At: 1 * milli, Member: 0, Count: 1, Level: order.FIFO, Size: 100},
		{At: 2*milli - 1, Member: 0, Kind: Cut, Peer: 2, For: 10 * micro},
		{At: 2 * milli, Member: 0, Count: 1, Level: order.FIFO, Size: 100},
		{At: 2*milli + 50*micro, Member: 0, Count: 1, Level: order.FIFO, Size: 100},
		{At: 20*milli - 1, Member: 0, Kind: Cut, Peer: 2, For: 10 * micro},
		{At: 20 * milli, Member: 0, Count: 1, Level: order.FIFO, Size: 100},
	}},
	{"causal", 3, []Op{ // the answer overtakes the question on the way to 2, and waits
		{At: 1*milli - 1, Member: 0, Kind: Cut, Peer: 2, For: 10 * micro},
		{At: 1 * milli, Member: 0, Count: 1, Level: order.Causal, Size: 100},
		{At: 1*milli + 150*micro, Member: 1, Count: 1, Level: order.Causal, Size: 50},
		{At: 1*milli + 400*micro, Member: 0, Count: 1, Level: order.FIFO, Size: 10},
	}},
	{"safe", 5, []Op{ // 3 and 4 do not hear 0: a majority does without them
		{Member: 0, Kind: Cut, Peer: 3, For: 3 * milli},
		{Member: 0, Kind: Cut, Peer: 4, For: 3 * milli},
		{At: 1 * milli, Member: 0, Count: 1, Level: order.Total.Safe(), Size: 100},
	}},
}

func TestStories(t *testing.T) {
	for _, story := range stories {
		t.Run(story.name, func(t *testing.T) {
			s := Scenario{
				Members: story.members, Segment: 1472, RecvBuffer: 1 << 20, HoldLimit: 1 << 20, Batch: 64, Deliver: 256,
				Delay: 100 * micro, Calm: 30 * milli, Ops: story.ops,
			}
			trace := &Trace{}
			if v := Run(s, 0, trace).Violation; v != nil {
				t.Fatal(v)
			}
			got := told(trace)
			file := filepath.Join("testdata", story.name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("the conversation has changed; run with -update and look at the difference. It is now:\n%s", got)
			}
		})
	}
}

// told leaves what is received out of a trace: it is what was sent, a little later.
func told(trace *Trace) string {
	var lines []string
	for _, line := range strings.SplitAfter(trace.String(), "\n") {
		if !strings.Contains(line, " <- ") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}
