package engine

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cohort/groups"
	"cohort/membership"
	"cohort/site"
)

// open opens one more node of a cluster.
func open(t testing.TB, cluster, name string, change func(c *Config)) *Node {
	t.Helper()
	c := Config{
		Cluster: cluster, Name: name, Interface: "lo", Timeout: time.Second,
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	if change != nil {
		change(&c)
	}
	n, err := Open(patient(t), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() }) // a test that cares closes it itself
	return n
}

// die ends a node as a crash would.
func die(n *Node) { _ = n.Abandon() }

// byAge has the oldest come first: of two the older goes on, so a test of what blocks
// keeps the youngest.
func byAge(nodes []*Node) []*Node {
	slices.SortFunc(nodes, func(a, b *Node) int { return a.Rank() - b.Rank() })
	return nodes
}

func clusterOf(t testing.TB) string { return fmt.Sprintf("%s-%x", t.Name(), rand.Uint64()) }

// TestOthersJoin: a node that hears nobody forms a view alone, and others join it.
func TestOthersJoin(t *testing.T) {
	cluster := clusterOf(t)
	var nodes []*Node
	for i := range 4 {
		nodes = append(nodes, open(t, cluster, fmt.Sprint("node", i), nil))
	}
	for i, n := range nodes {
		if err := n.AwaitMembers(patient(t), 4); err != nil {
			t.Fatal(err)
		}
		if v := n.View(); n.Rank() != i || v.Num != 4 || v.Key() != nodes[0].View().Key() {
			t.Errorf("node %d has rank %d in view %d of %d", i, n.Rank(), v.Num, len(v.Members))
		}
	}
}

// TestAMajorityBegins: two of three form the first view, the third joins it.
func TestAMajorityBegins(t *testing.T) {
	cluster := clusterOf(t)
	three := func(c *Config) { c.Expect = 3 }
	var a, b *Node
	var wg sync.WaitGroup
	wg.Go(func() { a = open(t, cluster, "a", three) })
	wg.Go(func() { b = open(t, cluster, "b", three) })
	wg.Wait()
	if v := a.View(); len(v.Members) != 2 || v.Key() != b.View().Key() {
		t.Fatalf("view %+v, want both nodes", v)
	}
	c := open(t, cluster, "c", three)
	for _, n := range []*Node{a, b, c} {
		if err := n.AwaitMembers(patient(t), 3); err != nil {
			t.Fatal(err)
		}
	}
}

// TestManyStartAtOnce: without knowing how many they are.
func TestManyStartAtOnce(t *testing.T) {
	cluster := clusterOf(t)
	nodes := make([]*Node, 8)
	var wg sync.WaitGroup
	for i := range nodes {
		wg.Go(func() { nodes[i] = open(t, cluster, fmt.Sprint("node", i), nil) })
	}
	wg.Wait()
	for _, n := range nodes {
		if err := n.AwaitMembers(patient(t), len(nodes)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCrashIsSeenByAll: who is left goes on, with the same messages before the change.
func TestCrashIsSeenByAll(t *testing.T) {
	nodes := openRing(t, 3, func(_ int, c *Config) { c.Timeout = 300 * time.Millisecond })
	lines := make([]*timeline, 3)
	groups := joinAll(t, nodes, "crash", func(i int) Handler { lines[i] = &timeline{}; return lines[i] })
	allJoined(t, groups)
	for k := range 1000 {
		for i, g := range groups {
			if err := g.Send(patient(t), allLevels[k%len(allLevels)], fmt.Appendf(nil, "%d.%d", i, k)); err != nil {
				t.Fatal(err)
			}
		}
	}
	dead := nodes[0] // the leader, and the holder of the token at first
	start := time.Now()
	die(dead)
	for _, n := range nodes[1:] {
		eventually(t, "the view without the dead", func() bool { return len(n.View().Members) == 2 })
	}
	t.Logf("view after %v", time.Since(start))
	for _, g := range groups[1:] {
		eventually(t, "the group without the dead", func() bool { return g.Size() == 2 })
		if err := g.Send(patient(t), Total.Safe(), []byte("after")); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range lines[1:] {
		eventually(t, "what is sent after", func() bool { return l.has("message 0:after") && l.has("message 1:after") })
	}
	change := func(l *timeline) int {
		return slices.IndexFunc(l.list(), func(e string) bool { return strings.Contains(e, "crashed]") })
	}
	sets := [2][]string{}
	for i, l := range lines[1:] {
		at := change(l)
		if at < 0 {
			t.Fatalf("member %d was not told of the crash: %s", i+1, last(l.list(), "view"))
		}
		sets[i] = slices.Sorted(slices.Values(l.list()[:at]))
	}
	sent := func(set []string) []string {
		return slices.DeleteFunc(set, func(e string) bool { return !strings.HasPrefix(e, "message") })
	}
	if a, b := sent(sets[0]), sent(sets[1]); !slices.Equal(a, b) {
		t.Errorf("before the change one delivered %d messages, the other %d", len(a), len(b))
	}
}

// TestMinorityBlocks: it is told so at once, delivers nothing, and its senders too.
func TestMinorityBlocks(t *testing.T) {
	nodes := byAge(openRing(t, 3, func(_ int, c *Config) { c.Timeout = 200 * time.Millisecond }))
	line := &timeline{}
	groups := joinAll(t, nodes, "minority", func(i int) Handler {
		if i == 2 {
			return line
		}
		return HandlerFunc(func(*Message) {})
	})
	allJoined(t, groups)
	die(nodes[0])
	die(nodes[1])
	g := groups[2]
	eventually(t, "a view event that says so", func() bool { return strings.Contains(last(line.list(), "view"), "blocked") })
	start := time.Now()
	for what, err := range map[string]error{
		"Send": g.Send(patient(t), Total, nil), "TrySend": g.TrySend(FIFO, nil), "large": g.Send(patient(t), FIFO, make([]byte, 3<<20)),
	} {
		if !errors.Is(err, ErrNoQuorum) {
			t.Errorf("%s: %v, want ErrNoQuorum", what, err)
		}
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("that took %v, want at once", took)
	}
	if err := nodes[2].Close(); err != nil {
		t.Error(err)
	}
}

// TestBlockedSenders: who waits for room when the ring stops is told.
func TestBlockedSenders(t *testing.T) {
	nodes := byAge(openRing(t, 3, func(_ int, c *Config) { c.SubmitRing, c.Timeout = 1<<16, 500*time.Millisecond }))
	b := newBlocker(t)
	groups := joinAll(t, nodes, "waiting", func(i int) Handler {
		return Queued(HandlerFunc(func(*Message) {
			if i == 1 {
				b.wait()
			}
		}), 0)
	})
	errs := make(chan error, 2)
	var sent atomic.Int64
	for _, size := range []int{1000, 100_000} {
		go func() {
			for {
				if err := groups[2].Send(context.Background(), FIFO, make([]byte, size)); err != nil {
					errs <- err
					return
				}
				sent.Add(1)
			}
		}()
	}
	steadily(t, "senders", sent.Load)
	b.resume() // the dying node's Close waits for its queue
	go die(nodes[0])
	go die(nodes[1])
	for range cap(errs) {
		select {
		case err := <-errs:
			if !errors.Is(err, ErrNoQuorum) {
				t.Errorf("%v, want ErrNoQuorum", err)
			}
		case <-time.After(patience):
			t.Fatal("a sender still waits in a ring that cannot go on")
		}
	}
}

// TestTwoRingsMerge: of two rings that formed apart the younger dissolves, its member
// is told, and joins the other with the other's state.
func TestTwoRingsMerge(t *testing.T) {
	cluster := clusterOf(t)
	older, younger := &ledger{}, &ledger{}
	join := func(n *Node, l *ledger, first string) *Group {
		g, err := n.Join(patient(t), "merge", l)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Send(patient(t), Total, []byte(first)); err != nil {
			t.Fatal(err)
		}
		sameLedgers(t, 1, false, l)
		return g
	}
	a := open(t, cluster, "a", nil)
	join(a, older, "of a")
	a.mu.Lock() // it says nothing, so the other finds nobody
	b := open(t, cluster, "b", nil)
	g := join(b, younger, "of b")
	a.mu.Unlock()
	for _, n := range []*Node{a, b} {
		if err := n.AwaitMembers(patient(t), 2); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the younger is in the group again", func() bool { return g.Size() == 2 && !g.away.Load() })
	if err := g.Send(patient(t), Total, []byte("together")); err != nil {
		t.Fatal(err)
	}
	sameLedgers(t, 2, false, older, younger)
	if got := younger.list(); got[0] != "of a" {
		t.Errorf("the younger has %q, want the state of the older", got)
	}
	if !slices.ContainsFunc(younger.views, func(v GroupView) bool { return v.Expelled && v.Reason == membership.Merged }) {
		t.Errorf("the younger was not told: %v", younger.events)
	}
}

// ledger is a stateful handler: the list of all messages delivered.
type ledger struct {
	mu       sync.Mutex
	entries  []string
	restores int
	fresh    int
	events   []string
	slow     time.Duration // per read of a restore
	fail     error         // of Restore
	snapErr  error
	views    []GroupView
}

func (l *ledger) Deliver(m *Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, string(m.Payload))
}

func (l *ledger) View(v GroupView) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if v.Fresh {
		l.fresh++
		l.entries = nil
	}
	l.views = append(l.views, v)
	l.events = append(l.events, "view "+describe(v))
}

func (l *ledger) Snapshot() (io.ReadCloser, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.snapErr != nil {
		return nil, l.snapErr
	}
	var b bytes.Buffer
	for _, e := range l.entries {
		_ = binary.Write(&b, binary.LittleEndian, uint32(len(e)))
		b.WriteString(e)
	}
	return io.NopCloser(&b), nil
}

func (l *ledger) Restore(r io.Reader) error {
	var entries []string
	for {
		time.Sleep(l.slow)
		var size [4]byte
		if _, err := io.ReadFull(r, size[:]); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		b := make([]byte, binary.LittleEndian.Uint32(size[:]))
		if _, err := io.ReadFull(r, b); err != nil {
			return err
		}
		entries = append(entries, string(b))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.restores++
	l.entries = entries
	return l.fail
}

func (l *ledger) list() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.entries)
}

// sameLedgers waits until all have the same entries, in any order if unordered.
func sameLedgers(t *testing.T, want int, unordered bool, ls ...*ledger) {
	t.Helper()
	for i, l := range ls {
		eventually(t, fmt.Sprintf("ledger %d has %d entries", i, want), func() bool { return len(l.list()) >= want })
	}
	first := ls[0].list()
	if unordered {
		slices.Sort(first)
	}
	for i, l := range ls[1:] {
		other := l.list()
		if unordered {
			slices.Sort(other)
		}
		if !slices.Equal(first, other) {
			at := 0
			for at < min(len(first), len(other)) && first[at] == other[at] {
				at++
			}
			t.Errorf("ledgers 0 and %d differ from entry %d of %d and %d on: %q, %q", i+1, at, len(first), len(other),
				first[at:min(at+5, len(first))], other[at:min(at+5, len(other))])
		}
	}
}

// TestStateTransferUnderLoad: who joins has the state of its first view, exactly,
// while two members send without a pause, at every level and with queues or without.
func TestStateTransferUnderLoad(t *testing.T) {
	for _, level := range []Level{FIFO, Causal, Total, Total.Safe()} {
		for _, queued := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v queued %v", level, queued), func(t *testing.T) {
				wrap := func(l *ledger) Handler {
					if queued {
						return Queued(l, 0)
					}
					return l
				}
				cluster := clusterOf(t)
				ls := []*ledger{{}, {}}
				var groups []*Group
				for i, l := range ls {
					n := open(t, cluster, fmt.Sprint("old", i), nil)
					g, err := n.Join(patient(t), "ledger", wrap(l))
					if err != nil {
						t.Fatal(err)
					}
					groups = append(groups, g)
				}
				stop := make(chan struct{})
				var sent atomic.Int64
				var wg sync.WaitGroup
				for i, g := range groups {
					wg.Go(func() {
						for k := 0; ; k++ {
							select {
							case <-stop:
								return
							default:
							}
							if err := g.Send(patient(t), level, fmt.Appendf(nil, "%d.%d", i, k)); err != nil {
								t.Error(err)
								return
							}
							sent.Add(1)
							if k%20 == 0 {
								time.Sleep(time.Millisecond)
							}
						}
					})
				}
				for i := range 3 {
					time.Sleep(20 * time.Millisecond)
					l := &ledger{}
					n := open(t, cluster, fmt.Sprint("new", i), nil)
					if _, err := n.Join(patient(t), "ledger", wrap(l)); err != nil {
						t.Fatal(err)
					}
					if l.restores != 1 {
						t.Errorf("the joiner has restored %d times", l.restores)
					}
					ls = append(ls, l)
				}
				close(stop)
				wg.Wait()
				sameLedgers(t, int(sent.Load()), level.Order() != Total, ls...)
			})
		}
	}
}

// going is a sequence whose state is the number of the next message.
type going struct{ sequence }

func (h *going) Snapshot() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(binary.LittleEndian.AppendUint64(nil, uint64(h.next.Load())))), nil
}

func (h *going) Restore(r io.Reader) error {
	var next uint64
	if err := binary.Read(r, binary.LittleEndian, &next); err != nil {
		return err
	}
	h.next.Store(int64(next))
	return nil
}

// TestSlowJoinerCatchesUp: one whose handler is slower than the senders can be comes in
// all the same while they send without a pause.
func TestSlowJoinerCatchesUp(t *testing.T) {
	for _, queued := range []bool{false, true} {
		t.Run(fmt.Sprint("queued ", queued), func(t *testing.T) {
			cluster := clusterOf(t)
			g, err := open(t, cluster, "old", nil).Join(patient(t), "slow", &going{sequence{t: t}})
			if err != nil {
				t.Fatal(err)
			}
			n := open(t, cluster, "new", nil)
			sending, stop := context.WithCancel(context.Background())
			var wg sync.WaitGroup
			wg.Go(func() {
				for k := 0; g.Send(sending, Total, numbered(k, 8<<10)) == nil; k++ {
				}
			})
			defer wg.Wait()
			defer stop()
			var slow Handler = &going{sequence{t: t, wait: func() { time.Sleep(100 * time.Microsecond) }}}
			if queued {
				slow = Queued(slow, 0)
			}
			if _, err := n.Join(patient(t), "slow", slow); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// fill has n begin the group "ledger", and gives it 200 entries of 4 KiB.
func fill(t *testing.T, n *Node, h Handler) {
	t.Helper()
	g, err := n.Join(patient(t), "ledger", h)
	if err != nil {
		t.Fatal(err)
	}
	for k := range 200 {
		if err := g.Send(patient(t), Total, fmt.Appendf(make([]byte, 4<<10), "%d", k)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDonorDies: another takes over.
func TestDonorDies(t *testing.T) {
	cluster := clusterOf(t)
	first, second, joiner := &ledger{}, &ledger{}, &ledger{slow: 2 * time.Millisecond}
	a, b := open(t, cluster, "a", nil), open(t, cluster, "b", nil)
	c := open(t, cluster, "c", nil)
	fill(t, a, first)
	if _, err := b.Join(patient(t), "ledger", second); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { _, err := c.Join(patient(t), "ledger", joiner); done <- err }()
	eventually(t, "the transfer has begun", func() bool { return c.Stats().StateReceived > 0 })
	die(a)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	sameLedgers(t, 200, false, second, joiner)
}

// TestAllDonorsDie: the joiner begins anew, and is told so; what comes then it keeps.
func TestAllDonorsDie(t *testing.T) {
	cluster := clusterOf(t)
	joiner := &ledger{slow: 5 * time.Millisecond}
	a, b := open(t, cluster, "a", nil), open(t, cluster, "b", nil)
	c := open(t, cluster, "c", nil) // so that two of three go on
	fill(t, a, &ledger{})
	type joined struct {
		g   *Group
		err error
	}
	done := make(chan joined, 1)
	go func() { g, err := b.Join(patient(t), "ledger", joiner); done <- joined{g, err} }()
	eventually(t, "the transfer has begun", func() bool { return b.Stats().StateReceived > 0 })
	die(a)
	j := <-done
	if j.err != nil {
		t.Fatal(j.err)
	}
	if err := j.g.Send(patient(t), Total, []byte("new")); err != nil {
		t.Fatal(err)
	}
	second := &ledger{}
	if _, err := c.Join(patient(t), "ledger", second); err != nil {
		t.Fatal(err)
	}
	sameLedgers(t, 1, false, joiner, second)
	if joiner.fresh != 1 || second.restores != 1 || len(joiner.list()) != 1 {
		t.Errorf("told to begin anew %d times, %d entries, the next one restored %d times; want 1 of each", joiner.fresh, len(joiner.list()), second.restores)
	}
}

// TestDonorIsLostBeforeTheRingKnows: the connection to the only donor breaks, and all have
// agreed that nobody else has the state, before it turns out that the donor has died. If it
// has not, the Join fails.
func TestDonorIsLostBeforeTheRingKnows(t *testing.T) {
	for _, dies := range []bool{true, false} {
		cluster := clusterOf(t)
		a, b := open(t, cluster, "a", nil), open(t, cluster, "b", nil)
		open(t, cluster, "c", nil) // so that two of three go on
		joiner := &ledger{slow: 5 * time.Millisecond}
		done := brokenJoin(t, a, b, joiner)
		if dies {
			die(a)
		}
		if err := <-done; (err == nil) != dies || err != nil && !errors.Is(err, ErrState) {
			t.Fatalf("the donor dies: %v; Join: %v", dies, err)
		}
		if dies && joiner.fresh != 1 {
			t.Errorf("told to begin anew %d times, want once", joiner.fresh)
		}
	}
}

// TestSomebodyElseIsReadyMeanwhile: a joiner that waits for the ring asks who has got the state by
// then, whatever has become of its donor.
func TestSomebodyElseIsReadyMeanwhile(t *testing.T) {
	for _, dies := range []bool{true, false} {
		t.Run(fmt.Sprint(dies), func(t *testing.T) {
			cluster := clusterOf(t)
			a, b := open(t, cluster, "a", nil), open(t, cluster, "b", nil)
			c := open(t, cluster, "c", nil)
			done := brokenJoin(t, a, b, &ledger{slow: 5 * time.Millisecond})
			if _, err := c.Join(patient(t), "ledger", &ledger{}); err != nil {
				t.Fatal("c", err)
			}
			eventually(t, "b knows that c is Ready", func() (yes bool) {
				locked(b, func() {
					g := b.roster.Table.Find("ledger")
					yes = g != nil && g.Ready&(1<<b.proc.Site().View().Rank(c.Self().ID)) != 0
				})
				return yes
			})
			if dies {
				die(a)
			}
			if err := <-done; err != nil {
				t.Fatalf("Join of b: %v, though c has the state", err)
			}
		})
	}
}

// TestFailedJoinIsNoSuccess: the state cannot be restored, and before the ring has heard that this
// member leaves the group again, it has gone on without it.
func TestFailedJoinIsNoSuccess(t *testing.T) {
	cluster := clusterOf(t)
	a, b := open(t, cluster, "a", nil), open(t, cluster, "b", nil)
	fill(t, a, &ledger{})
	done := make(chan error, 1)
	go func() {
		_, err := b.Join(patient(t), "ledger", &ledger{slow: 5 * time.Millisecond})
		done <- err
	}()
	eventually(t, "the transfer has begun", func() bool { return b.Stats().StateReceived > 0 })
	locked(b, func() {
		g := b.groups.local("ledger")
		g.restore.cancel()
		b.cannotRestore(g, fmt.Errorf("engine: %w: test", ErrState))
		b.expel(site.Change{Old: b.view(), Out: true, Why: membership.Silent})
	})
	if err := <-done; !errors.Is(err, ErrState) {
		t.Fatalf("Join: %v, want ErrState", err)
	}
}

// TestCoveredMessagesTakeTurns: what the state has already is passed over a turn's worth at a
// time, or a long transfer would end with a node that stands still.
func TestCoveredMessagesTakeTurns(t *testing.T) {
	n := openRing(t, 1, nil)[0]
	g, err := n.Join(patient(t), "ledger", &ledger{})
	if err != nil {
		t.Fatal(err)
	}
	locked(n, func() {
		r := newRestoring(newID(), n.proc.Site().Key())
		l := groups.LabelAt(n.proc.Site().Machine(), n.proc.Site().After()) // with the packet that joined the group
		l.Num = g.view.Num
		r.filter.Restored(l)
		for range 100 {
			r.append(groups.Record{At: 1, Sender: n.proc.Self().ID, Payload: []byte("x")})
		}
		n.restores(g, r)
		defer g.endRestore()
		for left := 100; left > 0; left -= 10 {
			if count, read, empty := n.drain(g, 10); count != 0 || read != 10 || empty {
				t.Fatalf("with %d left: %d delivered, %d read, all: %v", left, count, read, empty)
			}
		}
		if count, read, empty := n.drain(g, 10); count != 0 || read != 0 || !empty {
			t.Errorf("in the end: %d delivered, %d read, all: %v", count, read, empty)
		}
	})
}

// brokenJoin has b join a group of which only a has the state, breaks the connection on which
// that comes, and returns when b waits for the ring; done is how the Join ends.
func brokenJoin(t *testing.T, a, b *Node, joiner *ledger) (done chan error) {
	t.Helper()
	fill(t, a, &ledger{})
	done = make(chan error, 1)
	go func() { _, err := b.Join(patient(t), "ledger", joiner); done <- err }()
	eventually(t, "the transfer has begun", func() bool { return b.Stats().StateReceived > 0 })
	locked(b, func() { b.groups.local("ledger").restore.cancel() })
	eventually(t, "the joiner waits", func() (waits bool) {
		locked(b, func() {
			r := b.groups.local("ledger").restore
			waits = r != nil && r.waits
		})
		return waits
	})
	return done
}

// locked does f while the loop does nothing.
func locked(n *Node, f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
}

// TestDonorRefuses: one whose Snapshot fails is passed over; if all do, Join says why.
func TestDonorRefuses(t *testing.T) {
	cluster := clusterOf(t)
	why := errors.New("no paper left")
	a, b, c := open(t, cluster, "a", nil), open(t, cluster, "b", nil), open(t, cluster, "c", nil)
	bad, good := &ledger{}, &ledger{}
	ga, err := a.Join(patient(t), "ledger", bad)
	if err != nil {
		t.Fatal(err)
	}
	if err := ga.Send(patient(t), Total, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Join(patient(t), "ledger", good); err != nil {
		t.Fatal(err)
	}
	bad.mu.Lock()
	bad.snapErr = why
	bad.mu.Unlock()
	late := &ledger{}
	gc, err := c.Join(patient(t), "ledger", late)
	if err != nil {
		t.Fatal(err)
	}
	sameLedgers(t, 1, false, bad, good, late)
	if err := gc.Leave(patient(t)); err != nil {
		t.Fatal(err)
	}
	good.mu.Lock()
	good.snapErr = why
	good.mu.Unlock()
	if _, err := c.Join(patient(t), "ledger", &ledger{}); !errors.Is(err, ErrState) || !strings.Contains(err.Error(), why.Error()) {
		t.Errorf("%v, want ErrState and the donor's reason", err)
	}
	eventually(t, "no trace of the joiner", func() bool { return ga.Size() == 2 })
}

// TestRestoreFails: the Join returns the handler's own error, and leaves no trace.
func TestRestoreFails(t *testing.T) {
	cluster := clusterOf(t)
	a, b := open(t, cluster, "a", nil), open(t, cluster, "b", nil)
	ga, err := a.Join(patient(t), "ledger", &ledger{})
	if err != nil {
		t.Fatal(err)
	}
	why := errors.New("cannot read that")
	if _, err := b.Join(patient(t), "ledger", &ledger{fail: why}); !errors.Is(err, why) {
		t.Errorf("%v, want the handler's error", err)
	}
	eventually(t, "no trace of the joiner", func() bool { return ga.Size() == 1 })
	l := &ledger{}
	if _, err := b.Join(patient(t), "ledger", l); err != nil || l.restores != 1 {
		t.Errorf("joining again: %v, %d restores", err, l.restores)
	}
}

// TestLargeState streams more than any buffer holds, and messages go on meanwhile.
func TestLargeState(t *testing.T) {
	cluster := clusterOf(t)
	size := int64(scaled(256)) << 20
	a, b := open(t, cluster, "a", nil), open(t, cluster, "b", nil)
	ga, err := a.Join(patient(t), "large", &expanse{size: size})
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var sent atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
			if err := ga.Send(patient(t), Total, make([]byte, 1000)); err != nil {
				t.Error(err)
				return
			}
			sent.Add(1)
		}
	})
	e := &expanse{}
	if _, err := b.Join(patient(t), "large", e); err != nil {
		t.Fatal(err)
	}
	close(stop)
	wg.Wait()
	if e.got != size {
		t.Errorf("restored %d bytes, want %d", e.got, size)
	}
	eventually(t, "all bytes are counted", func() bool { return b.Stats().StateReceived == uint64(size) })
	eventually(t, "all messages", func() bool { return e.base+e.count.Load() == sent.Load() })
}

// expanse is a state that is only large, after the number of messages in it.
type expanse struct {
	size, got int64
	base      int64
	count     atomic.Int64
}

func (e *expanse) Deliver(*Message) { e.count.Add(1) }
func (e *expanse) View(GroupView)   {}
func (e *expanse) Snapshot() (io.ReadCloser, error) {
	head := binary.LittleEndian.AppendUint64(nil, uint64(e.count.Load()))
	return io.NopCloser(io.MultiReader(bytes.NewReader(head), io.LimitReader(zeros{}, e.size-8))), nil
}

func (e *expanse) Restore(r io.Reader) error {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	e.base = int64(binary.LittleEndian.Uint64(head[:]))
	k, err := io.Copy(io.Discard, r)
	e.got = k + 8
	return err
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestStallIsExpelledAndComesBack: a handler that holds up its node is as good as
// SIGSTOP. The others go on, and the node learns that, and is a member again.
func TestStallIsExpelledAndComesBack(t *testing.T) {
	cluster := clusterOf(t)
	var nodes []*Node
	ls := []*ledger{{}, {}, {}}
	var groups []*Group
	b := newBlocker(t)
	defer b.resume()
	for i, l := range ls {
		n := open(t, cluster, fmt.Sprint("node", i), nil)
		nodes = append(nodes, n)
		g, err := n.Join(patient(t), "stall", l)
		if err != nil {
			t.Fatal(err)
		}
		groups = append(groups, g)
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
	for _, n := range nodes[:2] {
		eventually(t, "a view without the one that stands still", func() bool { return len(n.View().Members) == 2 })
	}
	for k := range 100 {
		if err := groups[0].Send(patient(t), Total, fmt.Append(nil, k)); err != nil {
			t.Fatal(err)
		}
	}
	b.resume()
	for _, g := range groups {
		eventually(t, "all three are in the group again", func() bool { return g.Size() == 3 && !g.away.Load() })
	}
	if err := groups[2].Send(patient(t), Total, []byte("back")); err != nil {
		t.Fatal(err)
	}
	sameLedgers(t, 101, false, ls...)
	if s := nodes[2].Stats(); s.Expelled != 1 || ls[2].restores != 2 {
		t.Errorf("expelled %d times, restored %d times; want 1 and 2", s.Expelled, ls[2].restores)
	}
	told := slices.ContainsFunc(ls[2].views, func(v GroupView) bool { return v.Expelled && v.Reason == membership.Silent })
	if !told {
		t.Errorf("the handler was not told of the expulsion: %v", ls[2].events)
	}
}

// TestSlowConsumerIsExpelled: it makes the senders wait, and past the limit it is expelled.
func TestSlowConsumerIsExpelled(t *testing.T) {
	cluster := clusterOf(t)
	slow := func(c *Config) { c.SlowLimit, c.HoldLimit = 300*time.Millisecond, 1<<20 }
	line := &timeline{}
	b := newBlocker(t)
	defer b.resume()
	handlers := []Handler{line, HandlerFunc(func(*Message) {}), Queued(HandlerFunc(func(*Message) { b.wait() }), 0)}
	var groups []*Group
	for i, h := range handlers {
		g, err := open(t, cluster, fmt.Sprint("node", i), slow).Join(patient(t), "slow", h)
		if err != nil {
			t.Fatal(err)
		}
		groups = append(groups, g)
	}
	for range 20_000 {
		if err := groups[1].Send(patient(t), FIFO, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the view without the slow one", func() bool { // which may have come back meanwhile
		return slices.ContainsFunc(line.list(), func(e string) bool {
			return strings.HasPrefix(e, "view") && strings.Contains(e, "node2 "+membership.Slow.String())
		})
	})
}

// TestLeaveAndClose: what was sent is delivered, then comes the view without the
// sender, also at itself.
func TestLeaveAndClose(t *testing.T) {
	nodes := openRing(t, 3, nil)
	lines := make([]*timeline, 3)
	groups := joinAll(t, nodes, "leaving", func(i int) Handler { lines[i] = &timeline{}; return lines[i] })
	allJoined(t, groups)
	for i := range 3 {
		for k := range 500 {
			if err := groups[i].Send(patient(t), allLevels[k%len(allLevels)], []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		if err := nodes[i].Close(); err != nil {
			t.Fatal(err)
		}
		name := nodes[i].cfg.Name
		for at := i; at < 3; at++ {
			want := fmt.Sprintf("left [%s left]", name)
			eventually(t, "the view without the one that left", func() bool { return strings.HasSuffix(last(lines[at].list(), "view"), want) })
			got := 0
			for _, e := range lines[at].list() {
				if strings.HasPrefix(e, "message") {
					got++
				}
			}
			if got != 500*(i+1) {
				t.Errorf("%d messages at %s when %s had left, want %d", got, nodes[at].cfg.Name, name, 500*(i+1))
			}
		}
	}
}

// TestStateComesWhileBlocked: who has got the group's state while the ring could not
// go on tells the others once it can, and gives it to others from then on.
func TestStateComesWhileBlocked(t *testing.T) {
	cluster := clusterOf(t)
	a, b := open(t, cluster, "a", nil), open(t, cluster, "b", nil)
	ga, err := a.Join(patient(t), "ledger", &ledger{})
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if err := ga.Send(patient(t), Total, make([]byte, 4<<10)); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, 1)
	go func() { _, err := b.Join(patient(t), "ledger", &ledger{slow: 3 * time.Millisecond}); done <- err }()
	eventually(t, "the transfer has begun", func() bool { return b.Stats().StateReceived > 0 })
	b.mu.Lock()
	b.presence.set(place{standing: blocked, view: b.view(), rank: b.rank(), err: errBlocked})
	b.mu.Unlock()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	eventually(t, "a knows that b has the state", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		g := a.roster.Table.Find("ledger")
		return g != nil && bits.OnesCount64(g.Ready) == 2
	})
}
