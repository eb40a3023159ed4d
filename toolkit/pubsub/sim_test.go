package pubsub

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"cohort/engine"
	"cohort/toolkit"
	"cohort/toolkit/toolsim"
)

// key names what one sender publishes to one topic: its messages are numbered from 1.
type key struct {
	From  uint64
	Topic string
}

type record struct {
	Key key
	Num uint64
}

// peer is a member of the simulated group: a table, subscriptions whose messages are
// judged as they come, and a log of all that the group has delivered, which its joiners
// get beside the history.
type peer struct {
	*table
	flaw    string
	self    uint64
	sent    map[string]uint64
	log     []record
	before  []byte // the state before the last message, for a flaw
	watches []*watch
	wrong   []string
	met     met
}

// met is what has happened: messages replayed, expulsions, messages that came with the
// state after one, gaps.
type met struct{ replayed, expelled, news, gaps uint64 }

// watch is a subscription and what it has seen.
type watch struct {
	sub  *Sub
	seen map[key]seen
}

type seen struct{ num, gaps uint64 }

const simHistory = 3

func newPeer(flaw string) *peer {
	return &peer{table: newTable(limits{simHistory, 1 << 20}), flaw: flaw, sent: map[string]uint64{}}
}

func (p *peer) Deliver(m toolkit.Message, _ toolkit.Out) {
	if p.flaw == "stale" {
		p.before = p.h.snapshot()
	}
	name, payload, _ := parseMessage(m.Payload)
	p.log = append(p.log, record{key{m.From, string(name)}, binary.LittleEndian.Uint64(payload)})
	subs, msg := p.deliver(m.From, m.Level, m.Payload)
	for _, s := range subs {
		s.queue.put(msg)
	}
	p.judge()
}

func (p *peer) View(v toolkit.View, _ toolkit.Out) {
	if v.Expelled {
		p.met.expelled++
		return
	}
	if v.Self != p.self {
		p.self = v.Self
		clear(p.sent)
	}
	p.view(v.GroupView)
	p.judge()
}

func (p *peer) Snapshot() (io.ReadCloser, error) {
	state := p.h.snapshot()
	if p.before != nil {
		state = p.before
	}
	b, err := json.Marshal(struct {
		State []byte
		Log   []record
	}{state, p.log})
	return io.NopCloser(bytes.NewReader(b)), err
}

func (p *peer) Restore(r io.Reader) error {
	var k struct {
		State []byte
		Log   []record
	}
	if err := json.NewDecoder(r).Decode(&k); err != nil {
		return err
	}
	if p.flaw == "forgetful" {
		for _, s := range p.h.senders {
			s.count = 0
		}
	}
	p.log = k.Log
	if err := p.restore(bytes.NewReader(k.State)); err != nil {
		return err
	}
	for _, w := range p.watches {
		p.met.news += w.sub.queue.tail - w.sub.queue.head
	}
	p.judge()
	return nil
}

func (p *peer) publish(topic string, l engine.Level, out toolkit.Out) {
	p.sent[topic]++
	out.Send(l, appendMessage(nil, topic, binary.LittleEndian.AppendUint64(nil, p.sent[topic])))
}

// watch subscribes, and judges that it gets the last messages that the group has delivered.
func (p *peer) watch(pattern string, last int) {
	w := &watch{sub: &Sub{pattern: pattern, queue: newQueue(Block, 1<<20)}, seen: map[key]seen{}}
	p.watches = append(p.watches, w)
	var want []string
	kept := map[string]int{}
	for i := len(p.log) - 1; i >= 0; i-- {
		switch k := p.log[i]; {
		case !matches(pattern, k.Key.Topic):
		case kept[k.Key.Topic] < last:
			kept[k.Key.Topic]++
			want = append(want, fmt.Sprint(k))
		case w.seen[k.Key].num == 0:
			w.seen[k.Key] = seen{num: k.Num}
		}
	}
	slices.Reverse(want)
	p.subscribe(w.sub, pattern, last)
	got := p.judge()
	if !slices.Equal(got, want) {
		p.fail("a subscription to %s for the last %d gets %v, want %v", pattern, last, got, want)
	}
	p.met.replayed += uint64(len(want))
}

// judge looks at what has come for the subscriptions: of each sender and topic one message
// after the other, unless there was a gap. It returns what has come for the last one.
func (p *peer) judge() (got []string) {
	for _, w := range p.watches {
		got = nil
		gaps := w.sub.queue.stats.Gaps
		p.met.gaps = max(p.met.gaps, gaps)
		var m Message
		for w.sub.queue.head != w.sub.queue.tail && w.sub.queue.take(&m) {
			k, num := key{m.From, m.Topic}, binary.LittleEndian.Uint64(m.Payload)
			last := w.seen[k]
			if num <= last.num || num != last.num+1 && gaps == last.gaps {
				p.fail("%d of %v after %d, with %d gaps", num, k, last.num, gaps-last.gaps)
			}
			w.seen[k] = seen{num, gaps}
			got = append(got, fmt.Sprint(record{k, num}))
		}
	}
	return got
}

func (p *peer) fail(format string, args ...any) {
	p.wrong = append(p.wrong, fmt.Sprintf("%d: ", p.self)+fmt.Sprintf(format, args...))
}

// complete says what of the log has not come for a subscription.
func (p *peer) complete() error {
	for _, w := range p.watches {
		for _, k := range p.log {
			if matches(w.sub.pattern, k.Key.Topic) && w.seen[k.Key].num < k.Num && w.sub.queue.stats.Gaps == 0 {
				return fmt.Errorf("%d: %v has not come for %s", p.self, k, w.sub.pattern)
			}
		}
	}
	return nil
}

var simLevels = []engine.Level{engine.FIFO, engine.Causal, engine.Total, engine.FIFO.Safe(), engine.Total.Safe()}

// simulate runs one seed.
func simulate(seed uint64, flaw string) (sum met, trace []string, err error) {
	topics := []string{"a", "a.b", "a.c", "b.b"}
	patterns := []string{"a", "a.b", "a.*", "*.b", ">"}
	var all []*peer
	w, err := toolsim.New(seed, toolsim.Config[*peer]{
		Members: 4, Faults: 80,
		Make: func() *peer { p := newPeer(flaw); all = append(all, p); return p },
		Act: func(w *toolsim.World[*peer], m *toolsim.Member[*peer]) {
			m.Do(func(p *peer, out toolkit.Out) {
				if w.Rand.IntN(6) == 0 && len(p.watches) < 8 {
					p.watch(patterns[w.Rand.IntN(len(patterns))], w.Rand.IntN(simHistory+1))
				} else {
					p.publish(topics[w.Rand.IntN(len(topics))], simLevels[w.Rand.IntN(len(simLevels))], out)
				}
			})
		},
		Check: func(*toolsim.World[*peer]) error {
			for _, p := range all {
				if len(p.wrong) > 0 {
					return fmt.Errorf("%s", strings.Join(p.wrong, "\n"))
				}
			}
			return nil
		},
	})
	if err == nil {
		err = w.Run(2000)
	}
	if err == nil {
		err = w.Settle()
	}
	for _, p := range all {
		sum.replayed, sum.expelled, sum.news, sum.gaps = sum.replayed+p.met.replayed, sum.expelled+p.met.expelled, sum.news+p.met.news, sum.gaps+p.met.gaps
	}
	if err == nil {
		for _, m := range w.Members() {
			if err = m.Machine.complete(); err != nil {
				break
			}
		}
	}
	return sum, w.Trace(), err
}

// TestNoGapNoDuplicate: what is retained and what is live fit together, whatever fails.
func TestNoGapNoDuplicate(t *testing.T) {
	var sum met
	for seed := range uint64(100) {
		m, trace, err := simulate(seed, "")
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, strings.Join(trace, "\n"))
		}
		sum.replayed, sum.expelled, sum.news, sum.gaps = sum.replayed+m.replayed, sum.expelled+m.expelled, sum.news+m.news, sum.gaps+m.gaps
	}
	if sum.replayed == 0 || sum.expelled == 0 || sum.news == 0 || sum.gaps == 0 {
		t.Errorf("what may happen has not: %+v", sum)
	}
	t.Logf("%+v", sum)
}

// TestFlawsAreCaught: a state that lacks the last message, and one who forgets what it
// had before it was expelled.
func TestFlawsAreCaught(t *testing.T) {
	for _, flaw := range []string{"stale", "forgetful"} {
		caught := 0
		for seed := range uint64(30) {
			if _, _, err := simulate(seed, flaw); err != nil {
				caught++
			}
		}
		t.Logf("%s: caught in %d of 30 runs", flaw, caught)
		if caught == 0 {
			t.Errorf("nobody notices the flaw %q", flaw)
		}
	}
}
