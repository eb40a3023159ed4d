//go:build unix

package chaos

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"cohort/engine"
	"cohort/internal/bench/fleet"
)

// MemberEnv is the environment's variable that makes a process a member: a
// MemberConfig as JSON.
const MemberEnv = "COHORT_CHAOS_MEMBER"

// Place is where members run.
type Place interface {
	Interface() string
	Do(i int, f func() error) error
}

// Breakable is a Place whose network can be broken.
type Breakable interface {
	Place
	Cut(i int, off bool) error
	Lose(i, percent int) error
	Part(a, b int, apart bool) error
	NoLoss() error
}

// Loopback is one host, and nothing to break.
type Loopback struct{ Name string }

// Interface is where the members meet.
func (l Loopback) Interface() string { return l.Name }

// Do runs f.
func (l Loopback) Do(_ int, f func() error) error { return fleet.Here(f) }

// Network is what members' nodes are told of it.
type Network struct {
	Transport engine.Transport
	Port      int // 0: any
	Seeds     []string
}

// Config says what is to happen.
type Config struct {
	Place    Place
	Stay     int // members that stay
	Churn    int // and that leave and come back all the time
	For      time.Duration
	Seed     uint64
	Timeout  time.Duration
	Dir      string // for the journals
	Cluster  string
	Pause    time.Duration
	Every    time.Duration // about so often something fails
	Queued   int           // every so manieth member's handler is a queued one; 0: none
	Churning time.Duration
	Bulk     int
	Slow     time.Duration
	Engine   Network
	Stderr   io.Writer
	Log      func(format string, args ...any)
}

const (
	tick        = 20 * time.Millisecond
	comeBack    = 60 * time.Second // for all to be in one view once nothing fails any more
	blockedFor  = 8 * time.Second  // after that those who cannot go on are started anew
	settleEvery = 15 * time.Second // in long runs: how often all must come together meanwhile
)

// host is a place for one member at a time.
type host struct {
	index   int
	proc    *fleet.Process
	cmd     *exec.Cmd
	journal *Journal
	process int
	broken  bool      // something is wrong with it on purpose
	stuck   time.Time // since when it has been blocked
}

// director runs the members and has them fail.
type director struct {
	cfg      Config
	rng      *rand.Rand
	hosts    []*host
	started  int
	paths    map[string]string
	due      []repair
	trouble  []Violation
	Faults   map[string]int
	peakHeap uint64
	peakSlab uint64
	peakGo   uint64
	copied   []uint64 // per host
}

// repair is the end of a fault.
type repair struct {
	at time.Time
	do func() error
}

// Report is what came of a run.
type Report struct {
	Violations []Violation
	Summary    Summary
	Faults     map[string]int
	Processes  int
	Heap       uint64 // the most of any member: bytes
	Slabs      uint64 // likewise: packet memory
	Goroutines uint64
	Copied     []uint64 // per host: trains for all that one member there sent in copies, at the most
}

// Run lets it happen, and judges. The error is of the run itself.
func Run(cfg Config) (Report, error) {
	d := &director{cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 0)), paths: map[string]string{}, Faults: map[string]int{}}
	err := d.run()
	err = errors.Join(err, d.close())
	if err != nil {
		return Report{}, err
	}
	journals := map[string]iter.Seq[Record]{}
	for name, path := range d.paths {
		journals[name] = ReadJournal(path)
	}
	list, sum := Check(journals)
	return Report{append(d.trouble, list...), sum, d.Faults, d.started, d.peakHeap, d.peakSlab, d.peakGo, d.copied}, nil
}

func (d *director) run() error {
	for i := range d.cfg.Stay + d.cfg.Churn {
		d.hosts, d.copied = append(d.hosts, &host{index: i}), append(d.copied, 0)
		if err := d.start(d.hosts[i]); err != nil {
			return err
		}
	}
	if !d.together(comeBack) {
		return nil
	}
	for end := time.Now().Add(d.cfg.For); time.Now().Before(end) && len(d.trouble) == 0; {
		if err := d.storm(min(settleEvery, time.Until(end))); err != nil {
			return err
		}
		if err := d.mend(time.Time{}); err != nil {
			return err
		}
		if !d.together(comeBack) {
			return nil
		}
	}
	d.finish()
	return nil
}

// storm has things fail for a while.
func (d *director) storm(during time.Duration) error {
	fault := time.Now()
	for end := fault.Add(during); time.Now().Before(end); time.Sleep(tick) {
		if err := d.mend(time.Now()); err != nil {
			return err
		}
		d.look()
		if time.Now().After(fault) {
			fault = time.Now().Add(d.about(d.cfg.Every))
			if err := d.fail(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *director) about(t time.Duration) time.Duration {
	return t/4 + time.Duration(d.rng.Int64N(int64(t)*3/2))
}

// mend ends the faults that are due; all, if now is the zero time.
func (d *director) mend(now time.Time) error {
	var errs []error
	for i := 0; i < len(d.due); {
		if r := d.due[i]; now.IsZero() || now.After(r.at) {
			d.due = slices.Delete(d.due, i, i+1)
			errs = append(errs, r.do())
			continue
		}
		i++
	}
	return errors.Join(errs...)
}

func (d *director) after(t time.Duration, do func() error) {
	d.due = append(d.due, repair{time.Now().Add(t), do})
}

// look keeps an eye on the members: who has died of itself, who cannot go on.
func (d *director) look() {
	for _, h := range d.hosts {
		if h.proc == nil {
			continue
		}
		select {
		case <-h.proc.Ended():
			d.breach("NoPanic", "%s has ended by itself: %v", h.proc.Name(), h.proc.Failure())
			h.proc = nil
			continue
		default:
		}
		d.peakHeap = max(d.peakHeap, h.journal.See(Heap))
		d.peakSlab = max(d.peakSlab, h.journal.See(Slabs))
		d.peakGo = max(d.peakGo, h.journal.See(Goroutines))
		d.copied[h.index] = max(d.copied[h.index], h.journal.See(Copied))
		switch {
		case h.broken || h.journal.See(Standing) != Blocked:
			h.stuck = time.Time{}
		case h.stuck.IsZero():
			h.stuck = time.Now()
		case time.Since(h.stuck) > blockedFor:
			d.count("blocked for good, and started anew", h)
			d.kill(h, d.about(time.Second))
		}
	}
}

func (d *director) breach(property, format string, args ...any) {
	d.trouble = append(d.trouble, Violation{property, fmt.Sprintf(format, args...)})
}

func (d *director) count(what string, h *host) {
	d.Faults[what]++
	d.cfg.Log("%s: %s", nameOf(h.process), what)
}

// fail breaks something, unless too much is broken already for a majority to go on.
func (d *director) fail() error {
	whole := slices.DeleteFunc(slices.Clone(d.hosts), func(h *host) bool { return h.broken || h.proc == nil })
	if len(d.hosts)-len(whole) >= (len(d.hosts)-1)/3 || len(whole) == 0 {
		return nil
	}
	h := whole[d.rng.IntN(len(whole))]
	timeout := d.cfg.Timeout
	switch k := d.rng.IntN(10); k {
	case 0, 1:
		d.count("killed", h)
		d.kill(h, d.about(2*timeout))
	case 2:
		if oldest := d.oldest(whole); oldest != nil {
			d.count("killed, the oldest", oldest)
			d.kill(oldest, d.about(2*timeout))
		}
	case 3:
		d.strikeDonor(whole)
	case 4, 5:
		d.stop(h, timeout+d.about(2*timeout))
	default:
		return d.breakNetwork(k, h, whole)
	}
	return nil
}

// kill ends a member, and has another come in its place.
func (d *director) kill(h *host, away time.Duration) {
	h.broken, h.stuck = true, time.Time{}
	_ = h.cmd.Process.Signal(syscall.SIGKILL) // it may have ended
	<-h.proc.Ended()
	h.proc = nil
	d.after(away, func() error { return d.start(h) })
}

// stop has a member stand still for a while.
func (d *director) stop(h *host, during time.Duration) {
	d.count("stopped", h)
	h.broken = true
	_ = h.cmd.Process.Signal(syscall.SIGSTOP) // it may have ended
	d.after(during, func() error {
		h.broken = false
		_ = h.cmd.Process.Signal(syscall.SIGCONT) // likewise
		return nil
	})
}

// oldest returns the member of the lowest rank in the ring: its leader.
func (d *director) oldest(list []*host) (oldest *host) {
	for _, h := range list {
		if r := h.journal.See(RingRank); r > 0 && (oldest == nil || r < oldest.journal.See(RingRank)) {
			oldest = h
		}
	}
	return oldest
}

// strikeDonor kills or stops the oldest, which gives states, when next somebody is
// being restored: and with it, now and then, another.
func (d *director) strikeDonor(whole []*host) {
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if !slices.ContainsFunc(d.hosts, func(h *host) bool { return h.proc != nil && h.journal.See(Restoring) != 0 }) {
			continue
		}
		h := d.oldest(slices.DeleteFunc(slices.Clone(whole), func(h *host) bool { return h.journal.See(Restoring) != 0 }))
		switch {
		case h == nil:
		case d.rng.IntN(3) == 0:
			d.stop(h, d.cfg.Timeout+d.about(2*d.cfg.Timeout))
		default:
			d.count("killed, while it gave a state", h)
			d.kill(h, d.about(2*d.cfg.Timeout))
		}
		return
	}
}

// breakNetwork cuts a member off, two apart, or makes one lose packets.
func (d *director) breakNetwork(k int, h *host, whole []*host) error {
	net, ok := d.cfg.Place.(Breakable)
	if !ok {
		return nil
	}
	during := d.about(3 * d.cfg.Timeout)
	other := whole[d.rng.IntN(len(whole))]
	switch {
	case k < 8 || net.NoLoss() != nil:
		d.count("cut off", h)
		h.broken = true
		d.after(during, func() error { h.broken = false; return net.Cut(h.index, false) })
		return net.Cut(h.index, true)
	case k == 8 && h != other:
		d.count("cut from one other", h)
		h.broken = true
		d.after(during, func() error { h.broken = false; return net.Part(h.index, other.index, false) })
		return net.Part(h.index, other.index, true)
	}
	d.count("loses packets", h)
	d.after(2*during, func() error { return net.Lose(h.index, 0) })
	return net.Lose(h.index, 1+d.rng.IntN(5))
}

// start begins a member on a host.
func (d *director) start(h *host) error {
	d.started++
	h.process = d.started
	name := nameOf(h.process)
	path := filepath.Join(d.cfg.Dir, name)
	j, err := CreateJournal(path)
	if err != nil {
		return err
	}
	if h.journal != nil {
		if err := h.journal.Close(); err != nil {
			return err
		}
	}
	h.journal, h.broken, h.stuck, d.paths[name] = j, false, time.Time{}, path
	cfg := MemberConfig{
		Journal: path, Process: h.process, Cluster: d.cfg.Cluster, Interface: d.cfg.Place.Interface(), Expect: d.cfg.Stay,
		Timeout: d.cfg.Timeout, Pause: d.cfg.Pause, Bulk: d.cfg.Bulk, Slow: d.cfg.Slow, Network: d.cfg.Engine,
		Queued: d.cfg.Queued > 0 && h.process%d.cfg.Queued == 0,
	}
	if h.index >= d.cfg.Stay {
		cfg.Churn = d.cfg.Churning
	}
	text, err := json.Marshal(cfg)
	if err != nil {
		return err
	}
	h.cmd = exec.Command(os.Args[0])
	h.cmd.Env = append(os.Environ(), MemberEnv+"="+string(text))
	h.proc, err = fleet.Start(func(f func() error) error { return d.cfg.Place.Do(h.index, f) }, name, h.cmd, d.cfg.Stderr)
	return err
}

// together waits until all are in one view, and in the group.
func (d *director) together(patience time.Duration) bool {
	began := time.Now()
	for end := began.Add(patience); time.Now().Before(end); time.Sleep(tick) {
		d.look()
		if err := d.mend(time.Now()); err != nil {
			d.breach("Liveness", "mending: %v", err)
		}
		if len(d.trouble) > 0 {
			return false
		}
		if d.united() {
			d.cfg.Log("all %d are together after %v", len(d.hosts), time.Since(began).Round(time.Millisecond))
			return true
		}
	}
	d.breach("Liveness", "nothing has failed for %v, and this is where they are:\n%s", patience, d.board())
	d.cfg.Log("%s", d.stacks())
	return false
}

// united tells whether all who stay are in one view with all others that are in.
func (d *director) united() bool {
	var key, size uint64
	in := uint64(0)
	for _, h := range d.hosts {
		j := h.journal
		if h.proc == nil || j.See(Standing) != Inside || j.See(GroupSize) == 0 {
			if h.index < d.cfg.Stay || j.See(Order) != Work {
				return false
			}
			continue
		}
		in++
		if key == 0 {
			key, size = j.See(RingKey), j.See(RingSize)
		}
		if j.See(RingKey) != key || h.index < d.cfg.Stay && j.See(GroupSize) < uint64(d.cfg.Stay) {
			return h.index >= d.cfg.Stay && j.See(Order) == Work
		}
	}
	return size >= uint64(d.cfg.Stay) && (d.hosts[0].journal.See(Order) == Work || in == size)
}

// board is where everybody stands, for people.
func (d *director) board() string {
	var b strings.Builder
	for _, h := range d.hosts {
		fmt.Fprintf(&b, "  host %d, %s, running %v:", h.index, nameOf(h.process), h.proc != nil)
		for k := range boardWords {
			fmt.Fprintf(&b, " %s %x", boardNames[k], h.journal.See(k))
		}
		fmt.Fprintln(&b)
	}
	return b.String()
}

// stacks has the members show what they do, on their standard error, and end.
func (d *director) stacks() string {
	for _, h := range d.hosts {
		if h.proc != nil {
			_ = h.cmd.Process.Signal(syscall.SIGQUIT) // it may have ended
			<-h.proc.Ended()
			h.proc = nil
		}
	}
	return "the members' stacks are on standard error"
}

// finish lets all come to rest, and has them leave.
func (d *director) finish() {
	d.order(Calm)
	if !d.together(comeBack) {
		return
	}
	if !d.until("nobody sends any more", d.settled) {
		return
	}
	d.order(Conclude) // before anybody leaves: the others are handed a view then
	if !d.until("all were told to note where they stand", d.concluded) {
		return
	}
	d.order(Leave)
	for _, h := range d.hosts {
		select {
		case <-h.proc.Ended():
			if err := h.proc.Failure(); err != nil {
				d.breach("NoPanic", "%s has ended with %v", h.proc.Name(), err)
			}
		case <-time.After(comeBack):
			d.breach("Liveness", "%s does not end", h.proc.Name())
			d.stacks()
			return
		}
		h.proc = nil
	}
}

// until waits until something holds, and tells whether it came to that.
func (d *director) until(since string, holds func() bool) bool {
	for end := time.Now().Add(comeBack); !holds(); time.Sleep(tick) {
		d.look()
		if len(d.trouble) > 0 {
			return false
		}
		if time.Now().After(end) {
			d.breach("Liveness", "%s, and this is where they are:\n%s", since, d.board())
			return false
		}
	}
	return true
}

// concluded tells whether all have noted where they stand.
func (d *director) concluded() bool {
	return !slices.ContainsFunc(d.hosts, func(h *host) bool { return h.journal.See(Concluded) == 0 })
}

func (d *director) order(what uint64) {
	for _, h := range d.hosts {
		h.journal.Post(Order, what)
	}
}

// settled tells whether everything that was sent has come to everybody.
func (d *director) settled() bool {
	for _, h := range d.hosts {
		j := h.journal
		if j.See(Unsettled) != 0 || j.See(Digest) != d.hosts[0].journal.See(Digest) || j.See(GroupSize) != uint64(len(d.hosts)) {
			return false
		}
	}
	return true
}

// close ends what still runs.
func (d *director) close() error {
	var errs []error
	for _, h := range d.hosts {
		if h.proc != nil {
			_ = h.cmd.Process.Signal(syscall.SIGKILL) // it may have ended
			<-h.proc.Ended()
		}
		errs = append(errs, h.journal.Close())
	}
	return errors.Join(errs...)
}
