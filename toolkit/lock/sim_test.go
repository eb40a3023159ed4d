package lock

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"cohort/engine"
	"cohort/toolkit"
	"cohort/toolkit/toolsim"
)

// user is a member and what its program does with locks: under each mutex it updates a
// variable of that name.
type user struct {
	*machine
	play
	variables
	claims []*claim // not released yet by the program
	view   toolkit.View
	next   map[*claim]int // updates sent under it
}

// play is how a test has users work: right, or wrong in some way.
type play struct {
	request engine.Level // of locks
	updates engine.Level // of what is sent under them
	early   bool         // releases before the last update
	forgets bool         // has no requests from who was there before
	inside  bool         // what those do who have failed is of no account, nor are tokens
}

var right = play{request: engine.Total.Safe(), updates: engine.Causal}

var (
	names      = []string{"a", "b", "printers"}
	capacities = []uint32{1, 1, 3}
)

func (u *user) View(v toolkit.View, out toolkit.Out) {
	u.machine.View(v, out)
	if !v.Blocked {
		u.view = v
	}
}

func (u *user) holds(c *claim) bool { return u.own[c.serial] == c && c.grant != nil }

// history is all users that there ever were, and what was granted.
type history struct {
	users  []*user
	tokens map[uint64]*claim
	owner  map[*claim]*user
	last   map[string][]*claim // by lock, in the order of time
	shared int                 // times that somebody waited
	taken  int                 // times that somebody gave up
}

func newHistory() *history {
	return &history{tokens: map[uint64]*claim{}, owner: map[*claim]*user{}, last: map[string][]*claim{}}
}

func (h *history) add(p play) *user {
	u := &user{machine: newMachine(0), play: p, variables: newVariables(), next: map[*claim]int{}}
	h.users = append(h.users, u)
	return u
}

// check: those who hold a lock, of those who are in each other's views, do not have more
// than there is; no token is given twice; and tokens of a lock grow in time.
func (h *history) check(w *toolsim.World[*user], inside bool) error {
	users := h.users
	if inside {
		users = nil
		for _, m := range w.Members() {
			users = append(users, m.Machine)
		}
	}
	for _, x := range users {
		if x.disorder != nil {
			return x.disorder
		}
		for _, c := range x.claims {
			if c.grant == nil || inside {
				continue
			}
			if err := h.granted(x, c); err != nil {
				return err
			}
		}
	}
	return exclusion(users)
}

func exclusion(users []*user) error {
	sum := map[string]uint32{}
	for _, x := range users {
		clear(sum)
		for _, u := range users {
			for _, c := range u.claims {
				if u.holds(c) && x.view.Rank(u.self) >= 0 && u.view.Rank(x.self) >= 0 {
					sum[c.name] += c.weight
				}
			}
		}
		for _, c := range x.claims {
			if x.holds(c) && sum[c.name] > c.capacity {
				return fmt.Errorf("%d of %q are held where %d are there, as %d sees it", sum[c.name], c.name, c.capacity, x.self)
			}
		}
	}
	return nil
}

func (h *history) granted(x *user, c *claim) error {
	if h.owner[c] != nil {
		return nil
	}
	h.owner[c] = x
	t := c.grant.Token
	if o := h.tokens[t]; o != nil {
		return fmt.Errorf("token %d is given for %q to %d, and for %q", t, c.name, x.self, o.name)
	}
	h.tokens[t] = c
	for _, o := range h.last[c.name] {
		if y := h.owner[o]; c.capacity == 1 && o.grant.Token > t && y.view.Rank(x.self) >= 0 {
			return fmt.Errorf("token %d for %q at %d comes after %d at %d", t, c.name, x.self, o.grant.Token, y.self)
		}
	}
	h.last[c.name] = append(h.last[c.name], c)
	return nil
}

// act has a user ask, update, release or give up.
func (h *history) act(w *toolsim.World[*user], m *toolsim.Member[*user]) {
	u := m.Machine
	u.claims = live(u)
	if len(u.claims) < 2 && w.Rand.IntN(2) == 0 {
		i := w.Rand.IntN(len(names))
		c := &claim{name: names[i], capacity: capacities[i], weight: 1 + w.Rand.Uint32N(capacities[i]), level: u.request,
			try: w.Rand.IntN(4) == 0, settled: make(chan struct{})}
		u.claims = append(u.claims, c)
		m.Do(func(u *user, out toolkit.Out) { u.ask(c, out) })
		return
	}
	for _, c := range u.claims {
		if u.holds(c) {
			m.Do(func(u *user, out toolkit.Out) { u.work(c, out) })
			return
		}
		h.shared++
		if w.Rand.IntN(8) == 0 {
			h.taken++
			m.Do(func(u *user, out toolkit.Out) { u.giveUp(c, out) })
			return
		}
	}
}

// work is the program of one who holds a lock: three updates, and a release.
func (u *user) work(c *claim, out toolkit.Out) {
	last := 3
	if u.early {
		last = 2
	}
	if u.next[c]++; u.next[c] <= last {
		u.update(c, out)
		return
	}
	u.giveUp(c, out)
	if u.early {
		u.update(c, out)
	}
}

func live(u *user) (list []*claim) {
	for _, c := range u.claims {
		if u.own[c.serial] == c {
			list = append(list, c)
		}
	}
	return list
}

// run has one seed's members ask, fail, be blocked, leave and join; then all is released
// until nobody waits. Whoever is left must have the same state.
func run(seed uint64, p play) (*history, error) {
	h := newHistory()
	w, err := toolsim.New(seed, toolsim.Config[*user]{
		Members: 4, Faults: 60, Make: func() *user { return h.add(p) }, Act: h.act,
		Check: func(w *toolsim.World[*user]) error { return h.check(w, p.inside) },
	})
	if err == nil {
		err = w.Run(2000)
	}
	for again := true; again && err == nil; {
		if err = w.Settle(); err != nil {
			break
		}
		if err = agree(w.Members()); err != nil {
			break
		}
		again, err = drain(w.Members())
	}
	if err != nil {
		err = fmt.Errorf("seed %d: %w\n%s", seed, err, strings.Join(w.Trace(), "\n"))
	}
	return h, err
}

// drain releases all that is held; false if nobody has or wants anything.
func drain(list []*toolsim.Member[*user]) (bool, error) {
	held := false
	for _, m := range list {
		for _, c := range live(m.Machine) {
			if m.Machine.holds(c) {
				held = true
				m.Do(func(u *user, out toolkit.Out) { u.giveUp(c, out) })
			}
		}
	}
	if n := len(list[0].Machine.all()); !held && n > 0 {
		return false, fmt.Errorf("%d requests wait, and nobody holds anything", n)
	}
	return held, nil
}

func agree(list []*toolsim.Member[*user]) error {
	var first []byte
	for i, m := range list {
		r, err := m.Machine.Snapshot()
		if err != nil {
			return err
		}
		b, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if i == 0 {
			first = b
		}
		if !bytes.Equal(b, first) {
			return fmt.Errorf("%d and %d do not agree: %x, %x", list[0].ID, m.ID, first, b)
		}
	}
	return nil
}

func TestLocks(t *testing.T) {
	granted, waited, gaveUp := 0, 0, 0
	for seed := range uint64(60) {
		h, err := run(seed, right)
		if err != nil {
			t.Fatal(err)
		}
		granted, waited, gaveUp = granted+len(h.tokens), waited+h.shared, gaveUp+h.taken
	}
	if granted < 1000 || waited < 1000 || gaveUp < 100 {
		t.Errorf("%d grants, %d times waited, %d given up: too few to tell", granted, waited, gaveUp)
	}
	t.Logf("%d grants, %d times waited, %d given up", granted, waited, gaveUp)
}

// TestPlainRequests: they are enough for what stays in the group.
func TestPlainRequests(t *testing.T) {
	for seed := range uint64(60) {
		if _, err := run(seed, play{request: engine.Total, updates: engine.Causal, inside: true}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFlawsAreCaught: of these, none passes.
func TestFlawsAreCaught(t *testing.T) {
	flaw := func(change func(p *play)) play {
		p := right
		change(&p)
		return p
	}
	for name, p := range map[string]play{
		"requests without a place in the order": flaw(func(p *play) { p.request = engine.Causal }),
		"tokens that are not safe":              flaw(func(p *play) { p.request = engine.Total }),
		"updates that are not causal":           flaw(func(p *play) { p.updates = engine.FIFO }),
		"updates that are not causal, inside":   flaw(func(p *play) { p.request, p.updates, p.inside = engine.Total, engine.FIFO, true }),
		"a release before the last update":      flaw(func(p *play) { p.early = true }),
		"a joiner who knows no requests":        flaw(func(p *play) { p.forgets = true }),
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(300) {
				if _, err := run(seed, p); err != nil {
					t.Logf("%s", strings.SplitN(err.Error(), "\n", 2)[0])
					return
				}
			}
			t.Error("not caught in 300 seeds")
		})
	}
}
