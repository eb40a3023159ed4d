package pool

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// scheduler is what a pool wants of sched.
type scheduler interface {
	used() int
	add(keyed bool, key uint64) uint64
	take() (uint64, bool)
	enter(num uint64) bool
	pass(num uint64) uint64
	finish(num uint64)
}

// worker is one that the test moves by hand.
type worker struct {
	state   state
	num     uint64
	entered bool
}

type state int

const (
	free state = iota
	running
	waiting
	inside
)

// crew is a pool in which one thing happens at a time, at random.
type crew struct {
	s       scheduler
	keys    map[uint64]uint64 // of messages that have been added
	keyed   bool
	workers []*worker
	entered uint64 // who has entered last
	ran     map[uint64]uint64
	inside  int
	left    int // messages yet to be added
	ended   int
	places  int
}

// moves lists what may happen next.
func (c *crew) moves(t *rapid.T) (list []func() error) {
	if c.left > 0 && c.s.used() < c.places {
		list = append(list, func() error {
			key := rapid.Uint64Range(0, 3).Draw(t, "key")
			c.left--
			c.keys[c.s.add(c.keyed, key)] = key
			return nil
		})
	}
	for _, w := range c.workers {
		switch w.state {
		case free:
			if num, ok := c.s.take(); ok { // at once, as workers do
				if err := c.begin(w, num); err != nil {
					return []func() error{func() error { return err }}
				}
				return c.moves(t)
			}
		case running:
			if !w.entered {
				list = append(list, func() error {
					w.entered = true
					if w.state = waiting; c.s.enter(w.num) {
						return c.come(w)
					}
					return nil
				})
			}
			list = append(list, func() error { return c.end(w) })
		case inside:
			list = append(list, func() error {
				w.state = running
				c.inside--
				return c.pass(w)
			})
		}
	}
	return list
}

// begin checks that the messages of a key are processed one by one, in order.
func (c *crew) begin(w *worker, num uint64) error {
	*w = worker{state: running, num: num}
	if !c.keyed {
		return nil
	}
	key := c.keys[num]
	if c.ran[key] > num {
		return fmt.Errorf("%d of key %d after %d", num, key, c.ran[key])
	}
	for _, o := range c.workers {
		if o != w && o.state != free && c.keys[o.num] == key {
			return fmt.Errorf("%d and %d of key %d at a time", num, o.num, key)
		}
	}
	c.ran[key] = num
	return nil
}

// come checks that they enter one by one, in order.
func (c *crew) come(w *worker) error {
	w.state = inside
	if c.inside++; c.inside > 1 || w.num < c.entered {
		return fmt.Errorf("%d enters after %d, with %d inside", w.num, c.entered, c.inside-1)
	}
	c.entered = w.num
	return nil
}

func (c *crew) pass(w *worker) error {
	woken := c.s.pass(w.num)
	if woken == 0 {
		return nil
	}
	for _, o := range c.workers {
		if o.state == waiting && o.num == woken {
			return c.come(o)
		}
	}
	return fmt.Errorf("%d is woken and does not wait", woken)
}

func (c *crew) end(w *worker) error {
	if !w.entered {
		if err := c.pass(w); err != nil {
			return err
		}
	}
	c.s.finish(w.num)
	w.state = free
	c.ended++
	return nil
}

// schedule runs a random schedule to its end.
func schedule(t *rapid.T, s scheduler, places int) error {
	many := rapid.IntRange(1, 200).Draw(t, "messages")
	c := &crew{s: s, keys: map[uint64]uint64{}, ran: map[uint64]uint64{}, keyed: rapid.Bool().Draw(t, "keyed"), left: many, places: places}
	for range rapid.IntRange(1, 5).Draw(t, "workers") {
		c.workers = append(c.workers, &worker{})
	}
	for c.ended < many {
		list := c.moves(t)
		if len(list) == 0 {
			return fmt.Errorf("nothing moves, with %d messages of %d processed", c.ended, many)
		}
		if err := list[rapid.IntRange(0, len(list)-1).Draw(t, "move")](); err != nil {
			return err
		}
	}
	if s.used() != 0 {
		return fmt.Errorf("%d messages in the end", s.used())
	}
	return nil
}

func TestSchedules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const places = 64
		if err := schedule(t, newSched(places), places); err != nil {
			t.Fatal(err)
		}
	})
}

// newestFirst gives the newest message to a worker.
type newestFirst struct{ *sched }

func (s newestFirst) take() (uint64, bool) {
	for num := s.next - 1; num >= s.base && s.count > 0; num-- {
		if i := s.index(num); s.ready[i/64]>>(i%64)&1 == 1 {
			s.ready[i/64] &^= 1 << (i % 64)
			s.count--
			return num, true
		}
	}
	return 0, false
}

// forgetful does not notice that a later turn has been given up.
type forgetful struct{ *sched }

func (s forgetful) pass(num uint64) uint64 {
	if s.turn != num {
		return 0
	}
	return s.sched.pass(num)
}

// hasty lets everybody in.
type hasty struct{ *sched }

func (s hasty) enter(num uint64) bool { return true }

// keyless takes messages of one key for those of many.
type keyless struct{ *sched }

func (s keyless) add(_ bool, key uint64) uint64 { return s.sched.add(false, key) }

// TestFlawsAreCaught: random schedules find what is wrong with each of these.
func TestFlawsAreCaught(t *testing.T) {
	for name, flawed := range map[string]func(s *sched) scheduler{
		"newest first": func(s *sched) scheduler { return newestFirst{s} },
		"forgetful":    func(s *sched) scheduler { return forgetful{s} },
		"hasty":        func(s *sched) scheduler { return hasty{s} },
		"keyless":      func(s *sched) scheduler { return keyless{s} },
	} {
		var caught error
		rapid.Check(t, func(t *rapid.T) {
			if err := schedule(t, flawed(newSched(64)), 64); err != nil {
				caught = err
			}
		})
		if caught == nil {
			t.Errorf("nobody notices the flaw %q", name)
		}
		t.Logf("%s: %v", name, caught)
	}
}
