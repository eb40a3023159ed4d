package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cohort/control"
	"cohort/engine/recorder"
	"cohort/internal/transcript"
)

// logbook keeps what a node logs.
type logbook struct{ transcript.Transcript }

func (l *logbook) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// has tells whether there is a line with all of these.
func (l *logbook) has(parts ...string) bool {
	for line := range strings.Lines(l.String()) {
		if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(line, p) }) {
			return true
		}
	}
	return false
}

// awaitDump waits for a file of the recorder and reads it.
func awaitDump(t *testing.T, folder, reason string) *recorder.Dump {
	t.Helper()
	var files []string
	eventually(t, "a dump for "+reason, func() bool {
		files, _ = filepath.Glob(filepath.Join(folder, "cohort-*-"+reason+".jsonl"))
		return len(files) > 0
	})
	f, err := os.Open(files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d, err := recorder.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// index returns where the first event of this kind with this text is; -1: nowhere.
func index(d *recorder.Dump, k recorder.Kind, text string) int {
	return slices.IndexFunc(d.Events, func(e recorder.Event) bool { return e.Kind == k && strings.Contains(e.Text, text) })
}

// TestLossOfQuorumIsRecorded: who is left finds in a file how it came about, in order,
// and in the log.
func TestLossOfQuorumIsRecorded(t *testing.T) {
	folder, book := filepath.Join(t.TempDir(), "new", "folder"), &logbook{}
	nodes := byAge(openRing(t, 3, func(_ int, c *Config) {
		c.Timeout, c.Recorder, c.Logger = 200*time.Millisecond, folder, book.logger()
	}))
	victims := []string{nodes[0].cfg.Name, nodes[1].cfg.Name}
	left := nodes[2].cfg.Name
	die(nodes[0])
	die(nodes[1])
	d := awaitDump(t, folder, dumpBlocked)
	if d.Node != left || d.Reason != dumpBlocked {
		t.Errorf("a dump of %s for %s, want %s and %s", d.Node, d.Reason, left, dumpBlocked)
	}
	begun := []int{index(d, recorder.Identity, ""), index(d, recorder.Stage, "seeking"), index(d, recorder.View, left)}
	blocked := index(d, recorder.Blocked, "")
	for _, how := range []recorder.Kind{recorder.Disconnected, recorder.Suspected} { // the second to die may have told of the first
		at := append(slices.Clone(begun), index(d, how, ""), blocked)
		if at[0] < 0 || !slices.IsSorted(at) {
			t.Errorf("identity, seeking, view, %v, blocked are at %v, want that order; events %v", how, at, d.Events)
		}
	}
	if index(d, recorder.LetterHeard, "Install") < 0 && index(d, recorder.LetterSent, "Install") < 0 {
		t.Error("no letter tells of the view's installation")
	}
	if k := index(d, recorder.Suspected, ""); k >= 0 && !slices.Contains(victims, d.Peers[d.Events[k].Peer]) {
		t.Errorf("suspected is %q, want one of %q", d.Peers[d.Events[k].Peer], victims)
	}
	node := "node=" + left
	for _, want := range [][]string{
		{"looking for a ring", "interface=lo", "expect=3"}, {"in the ring", "members=3"},
		{"level=WARN", "a member is suspected", "reason=crashed", "member=" + victims[0]},
		{"level=WARN", "too few members are left to go on"}, {"the flight recorder has been written", "reason=no-quorum"},
	} {
		eventually(t, strings.Join(want, ", ")+" in the log", func() bool { return book.has(append(want, node, "cluster=")...) })
	}
	eventually(t, "the levels say so", func() bool { s := nodes[2].Stats(); return s.Blocked == 1 && s.Suspected > 0 && s.Suspicions > 0 })
}

// TestAFailureIsToldHoweverShort: of two members the one that goes on needs nobody's word for the view
// without the other, so suspicion and view come in one turn of its loop; it tells of both all the same,
// and of one that leaves it suspects nothing.
func TestAFailureIsToldHoweverShort(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(*Node)
		told uint64
	}{{"dies", die, 1}, {"leaves", func(n *Node) { _ = n.Close() }, 0}} {
		t.Run(c.name, func(t *testing.T) {
			book := &logbook{}
			nodes := byAge(openRing(t, 2, func(_ int, c *Config) { c.Logger = book.logger() }))
			gone, left := nodes[1].cfg.Name, nodes[0]
			c.end(nodes[1])
			eventually(t, "the view without it", func() bool { return len(left.View().Members) == 1 })
			eventually(t, "its count", func() bool { return left.Stats().Views >= 2 })
			if s := left.Stats(); s.Suspicions != c.told || s.Suspected != 0 {
				t.Errorf("%d suspicions, %d suspected now; want %d and 0", s.Suspicions, s.Suspected, c.told)
			}
			if told := book.has("level=WARN", "a member is suspected", "member="+gone, "reason=crashed", "node="+left.cfg.Name); told != (c.told > 0) {
				t.Errorf("the log tells of a suspicion: %v\n%s", told, book)
			}
			var b bytes.Buffer
			if err := left.DumpRecorder(&b); err != nil {
				t.Fatal(err)
			}
			d, err := recorder.Read(&b)
			if err != nil {
				t.Fatal(err)
			}
			if at := index(d, recorder.Suspected, "crashed"); (at >= 0) != (c.told > 0) || at > index(d, recorder.Gone, "") {
				t.Errorf("suspected is at %d, gone at %d of %v", at, index(d, recorder.Gone, ""), d.Events)
			}
		})
	}
}

// TestStallIsRecorded: while a handler hangs the recorder can be had, and afterwards it
// tells that the node stood still, and was expelled for it.
func TestStallIsRecorded(t *testing.T) {
	cluster, folder, book := clusterOf(t), t.TempDir(), &logbook{}
	b := newBlocker(t)
	defer b.resume()
	var nodes []*Node
	for i := range 3 {
		nodes = append(nodes, open(t, cluster, fmt.Sprint("node", i), func(c *Config) {
			c.Timeout = 300 * time.Millisecond
			if i == 2 {
				c.Recorder, c.Logger = folder, book.logger()
			}
		}))
	}
	if _, err := nodes[2].Join(patient(t), "trap", HandlerFunc(func(*Message) { b.wait() })); err != nil {
		t.Fatal(err)
	}
	trap, err := nodes[0].Join(patient(t), "trap", HandlerFunc(func(*Message) {}))
	if err != nil {
		t.Fatal(err)
	}
	if err := trap.Send(patient(t), FIFO, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the handler hangs", func() bool { return b.held.Load() > 0 })
	eventually(t, "a view without the one that stands still", func() bool { return len(nodes[0].View().Members) == 2 })
	var asked bytes.Buffer
	if err := nodes[2].DumpRecorder(&asked); err != nil {
		t.Fatal(err)
	}
	d, err := recorder.Read(&asked)
	if err != nil || index(d, recorder.View, "node2") < 0 {
		t.Errorf("asked for while the handler hangs: %v, %v", d, err)
	}
	b.resume()
	d = awaitDump(t, folder, dumpExpelled)
	at := []int{index(d, recorder.Stalled, ""), index(d, recorder.Expelled, "")}
	if at[0] < 0 || !slices.IsSorted(at) {
		t.Errorf("stalled and expelled are at %v, want that order", at)
	}
	for _, want := range [][]string{{"this node stood still", "for_ms="}, {"the ring has gone on without this node", "reason="}, {"asking a ring to let this node in", "leader="}} {
		eventually(t, strings.Join(want, ", ")+" in the log", func() bool { return book.has(want...) })
	}
	if s := nodes[2].Stats(); s.Stalls == 0 || s.Expelled != 1 {
		t.Errorf("%d stalls, %d expulsions; want some and 1", s.Stalls, s.Expelled)
	}
	var shown bytes.Buffer
	if err := recorder.Print(&shown, []*recorder.Dump{d}, 0); err != nil || !strings.Contains(shown.String(), "stood still for") {
		t.Errorf("%v\n%s", err, shown.String())
	}
}

// TestFailureIsRecorded: a node whose sockets go away ends, and leaves a dump.
func TestFailureIsRecorded(t *testing.T) {
	folder, book := t.TempDir(), &logbook{}
	n := open(t, clusterOf(t), "fails", func(c *Config) { c.Recorder, c.Logger = folder, book.logger() })
	g, err := n.Join(patient(t), "end", HandlerFunc(func(*Message) { _ = n.conn.Close() })) // on the loop, to which they belong
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Send(patient(t), FIFO, nil); err != nil {
		t.Fatal(err)
	}
	d := awaitDump(t, folder, dumpFailed)
	why := n.Close()
	if why == nil || !book.has("level=ERROR", "the node has failed", "error=") {
		t.Fatalf("Close returns %v, want why it has failed, and it in the log", why)
	}
	if k := index(d, recorder.Failed, why.Error()); k < 0 || k != len(d.Events)-1 {
		t.Errorf("event %d of %d says that it has failed, want the last one", k, len(d.Events))
	}
}

// TestFewDumpsAreKept: a node that fails again and again does not fill the disk.
func TestFewDumpsAreKept(t *testing.T) {
	folder := t.TempDir()
	n := open(t, clusterOf(t), "again/../and again", func(c *Config) { c.Recorder = folder })
	for range maxDumps + 5 {
		n.mu.Lock()
		n.dump(dumpBlocked)
		n.dump(dumpBlocked) // too soon
		n.dumps.last = nil
		n.mu.Unlock()
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(folder)
	if err != nil || len(files) != maxDumps {
		t.Errorf("%d files, want %d; %v", len(files), maxDumps, err)
	}
	for _, f := range files {
		if !strings.HasPrefix(f.Name(), "cohort-again____and_again-") {
			t.Errorf("a file is called %q", f.Name())
		}
	}
}

func TestRecorderNeedsAFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(patient(t), Config{Interface: "lo", Recorder: filepath.Join(file, "folder")})
	if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), file) {
		t.Errorf("%v, want ErrConfig and the path", err)
	}
}

// TestRecorderOutlivesTheNode: what led to the end can be asked for after it.
func TestRecorderOutlivesTheNode(t *testing.T) {
	n := open(t, clusterOf(t), "gone", nil)
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if err := n.DumpRecorder(io.Discard); err != nil {
		t.Error(err)
	}
}

// TestGroupStats: groups are counted one by one as far as there is room, which those
// that leave give back.
func TestGroupStats(t *testing.T) {
	n := open(t, clusterOf(t), "counts", nil)
	const many = maxCounted + 2
	var groups []*Group
	for i := range many {
		g, err := n.Join(patient(t), fmt.Sprintf("g%02d", i), HandlerFunc(func(*Message) {}))
		if err != nil {
			t.Fatal(err)
		}
		groups = append(groups, g)
	}
	send := func(g *Group, count int) {
		for range count {
			if err := g.Send(patient(t), FIFO, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	is := func(what string, want ...GroupStats) {
		eventually(t, what, func() bool {
			s := n.GroupStats()
			return len(s) == maxCounted+1 && !slices.ContainsFunc(want, func(w GroupStats) bool { return !slices.Contains(s, w) })
		})
	}
	send(groups[0], 3)
	send(groups[maxCounted], 4)
	send(groups[maxCounted+1], 5)
	is("one by one, and together", GroupStats{"g00", 3}, GroupStats{"g01", 0}, GroupStats{"", 9})
	if err := groups[0].Leave(patient(t)); err != nil {
		t.Fatal(err)
	}
	late, err := n.Join(patient(t), "late", HandlerFunc(func(*Message) {}))
	if err != nil {
		t.Fatal(err)
	}
	send(late, 2)
	is("its place is another's", GroupStats{"late", 2}, GroupStats{"", 9})
}

// TestLevels: what an operator looks at first is filled in, and the token goes round
// where several send in total order.
func TestLevels(t *testing.T) {
	nodes := openRing(t, 3, nil)
	groups := joinAll(t, nodes, "levels", func(int) Handler { return HandlerFunc(func(*Message) {}) })
	allJoined(t, groups)
	var wg sync.WaitGroup
	for _, g := range groups {
		wg.Go(func() {
			for range 2000 {
				if err := g.Send(patient(t), Total, make([]byte, 1000)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for _, n := range nodes {
		eventually(t, "the token has been here", func() bool { s := n.Stats(); return s.TokenPasses > 1 && s.TokenHeldNS > 0 })
		s := n.Stats()
		if s.View != n.View().Num || s.Members != 3 || s.Blocked != 0 || s.Suspected != 0 || s.Restoring != 0 {
			t.Errorf("levels %+v of view %d", s.Levels, n.View().Num)
		}
		if s.WindowLimit == 0 || s.SubmitLimit != defaultSubmitRing || s.HoldLimit != uint64(n.cfg.HoldLimit) || s.BeaconsSent == 0 || s.BeaconsReceived == 0 {
			t.Errorf("levels %+v, %d beacons sent and %d received", s.Levels, s.BeaconsSent, s.BeaconsReceived)
		}
	}
	eventually(t, "the windows are empty again", func() bool { s := nodes[0].Stats(); return s.WindowBytes == 0 && s.SubmitBytes == 0 })
}

// TestStatesAreCounted: a state that is given is restored elsewhere.
func TestStatesAreCounted(t *testing.T) {
	cluster := clusterOf(t)
	a, b := open(t, cluster, "a", nil), open(t, cluster, "b", nil)
	for _, n := range []*Node{a, b} {
		if _, err := n.Join(patient(t), "state", &ledger{}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "one state is given and restored", func() bool {
		given, got := a.Stats(), b.Stats()
		return given.StatesGiven == 1 && got.StatesRestored == 1 && got.StatesFailed == 0 && got.Restoring == 0
	})
	var dump bytes.Buffer
	if err := errors.Join(a.DumpRecorder(&dump), b.DumpRecorder(&dump)); err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"state-offered", "state-fetch", "state-done"} {
		if !strings.Contains(dump.String(), word) {
			t.Errorf("no event %s", word)
		}
	}
}

// TestProfilesTellRoles: every goroutine of a node can be told in a profile.
func TestProfilesTellRoles(t *testing.T) {
	b := newBlocker(t)
	defer b.resume()
	nodes := openRing(t, 2, nil)
	groups := joinAll(t, nodes, "labelled", func(int) Handler { return Queued(HandlerFunc(func(*Message) { b.wait() }), 0) })
	if err := groups[0].Send(patient(t), FIFO, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the handlers are called", func() bool { return b.held.Load() == 2 })
	var profile bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
		t.Fatal(err)
	}
	for _, node := range nodes {
		for role, also := range map[string]string{
			"loop": "", "control-accept": "", "control-reader": "", "control-writer": "", "handler": fmt.Sprintf("%q:%q", groupLabel, "labelled"),
		} {
			found := false
			for line := range strings.Lines(profile.String()) {
				found = found || strings.Contains(line, fmt.Sprintf("%q:%q", NodeLabel, node.cfg.Name)) &&
					strings.Contains(line, fmt.Sprintf("%q:%q", control.RoleLabel, role)) && strings.Contains(line, also)
			}
			if !found {
				t.Errorf("no goroutine of %s with role %s in\n%s", node.cfg.Name, role, profile.String())
			}
		}
	}
	b.resume()
}

// TestWarningsDouble: the first, and then one each time that there are twice as many.
func TestWarningsDouble(t *testing.T) {
	var d doubling
	var told []uint64
	for total := range uint64(40) {
		if d.due(total) {
			told = append(told, total)
		}
	}
	if want := []uint64{1, 2, 4, 8, 16, 32}; !slices.Equal(told, want) {
		t.Errorf("told of %v, want %v", told, want)
	}
}

// BenchmarkPublish is what the counters, the recorder and the log cost a turn of the
// loop, which moves many messages when there is much to do.
func BenchmarkPublish(b *testing.B) { benchmarkPublish(b, (*Node).publish) }

// BenchmarkObserve is the part of it that looks for events.
func BenchmarkObserve(b *testing.B) {
	s := Stats{}
	benchmarkPublish(b, func(n *Node) { n.observe(&s) })
}

func benchmarkPublish(b *testing.B, f func(*Node)) {
	n := openRing(b, 3, nil)[0]
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	n.mu.Lock()
	defer n.mu.Unlock()
	b.ReportAllocs()
	for b.Loop() {
		f(n)
	}
}
