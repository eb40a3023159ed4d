package rsm

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"cohort/toolkit"
	"cohort/toolkit/toolsim"
)

// journal is an application: commands in their order. The result is a command's place.
type journal struct{ Lines []string }

func (j *journal) Apply(command []byte) []byte {
	j.Lines = append(j.Lines, string(command))
	return fmt.Append(nil, len(j.Lines)-1)
}

func (j *journal) Snapshot() (io.ReadCloser, error) {
	b, err := json.Marshal(j)
	return io.NopCloser(strings.NewReader(string(b))), err
}

func (j *journal) Restore(r io.Reader) error {
	*j = journal{}
	return json.NewDecoder(r).Decode(j)
}

// memory is a storage that outlives its machines, and lies if it is told to.
type memory struct {
	has    Stored
	lazy   bool // what is appended is on the disk only when the next is
	timid  bool // epochs are not stored
	behind [][]byte
}

func (s *memory) Stored() Stored {
	k := s.has
	k.Records = slices.Clone(k.Records)
	return k
}

func (s *memory) Save(epoch, position uint64, r io.Reader) (err error) {
	if s.timid {
		epoch = min(epoch, 1)
	}
	s.has = Stored{Promise: max(s.has.Promise, epoch), Epoch: epoch, Position: position}
	s.has.State, err = io.ReadAll(r)
	s.behind = nil
	return err
}

func (s *memory) Append(records [][]byte) error {
	if s.lazy {
		records, s.behind = s.behind, records
	}
	s.has.Records = append(s.has.Records, records...)
	return nil
}

func (s *memory) Promise(epoch uint64) error {
	if !s.timid {
		s.has.Promise = epoch
	}
	return nil
}

// disks are those of a group that fails and begins again and again, with what its clients
// have been told.
type disks struct {
	t     *testing.T
	list  []*memory
	acked map[int]string // by place
	drawn uint64
	began int // how often the group has come to run
}

// work has the members store and propose, until all of them fail; quiet: until there is
// nothing left to do.
func (d *disks) work(seed uint64, quiet bool) error {
	r := rand.New(rand.NewPCG(seed, 1))
	order := r.Perm(len(d.list))[:len(d.list)-r.IntN(2)]
	next, used := 0, 0
	for _, i := range order {
		if d.list[i].has.Epoch > 0 {
			used++
		}
	}
	w, err := toolsim.New(seed, toolsim.Config[*machine]{
		Members: len(order),
		Make: func() *machine {
			next++
			return d.machine(d.list[order[next-1]])
		},
		Act: func(w *toolsim.World[*machine], m *toolsim.Member[*machine]) {
			if w.Rand.IntN(2) == 0 {
				d.store(m, 1+w.Rand.IntN(4))
			} else if m.Machine.ready() {
				d.propose(m)
			}
		},
	})
	if err != nil {
		return err
	}
	if err := w.Run(r.IntN(1500)); err != nil {
		return err
	}
	for again := quiet; again; {
		again = false
		if err := w.Settle(); err != nil {
			return err
		}
		for _, m := range w.Members() {
			again = d.store(m, 1000) || again
		}
	}
	enough := used >= majority(len(d.list)) || len(order) == len(d.list)
	if m := w.Members()[0].Machine; quiet && m.disk.running != enough {
		return fmt.Errorf("of %d disks are %d there, %d of them used before; running: %v", len(d.list), len(order), used, m.disk.running)
	}
	return d.check(w.Members(), quiet)
}

func (d *disks) machine(s *memory) *machine {
	m, err := newMachine(&journal{})
	if err == nil {
		m.disk, err = newDisk(Durability{Storage: s, Disks: len(d.list), LogLimit: 2000})
	}
	if err == nil {
		err = m.load(s.Stored())
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return m
}

// store does some jobs of a member, as Replica.store does; false if there are none.
func (d *disks) store(m *toolsim.Member[*machine], count int) bool {
	k := m.Machine.disk
	jobs := k.jobs[:min(count, len(k.jobs))]
	k.jobs = k.jobs[len(jobs):]
	for rest := jobs; len(rest) > 0; {
		j, n, err := some(k.cfg.Storage, rest)
		if err != nil {
			d.t.Fatal(err)
		}
		rest = rest[n:]
		m.Do(func(m *machine, out toolkit.Out) { m.wrote(j, out) })
	}
	return len(jobs) > 0
}

func (d *disks) propose(m *toolsim.Member[*machine]) {
	d.drawn++
	line := fmt.Sprint("line ", d.drawn)
	m.Do(func(m *machine, out toolkit.Out) {
		m.propose(ID{1, d.drawn, m.position}, []byte(line), out, &waiter{func(o outcome) {
			if o.err == nil {
				d.acked[parse(d.t, o.result)] = line
			}
		}})
	})
}

// check compares what the members of a running group have with what was acknowledged.
func (d *disks) check(list []*toolsim.Member[*machine], quiet bool) error {
	running := false
	for _, m := range list {
		k := m.Machine
		if !k.disk.running {
			continue
		}
		running = true
		if !quiet {
			continue // it may be behind
		}
		lines := k.app.(*journal).Lines
		for place, line := range d.acked {
			if place >= len(lines) || lines[place] != line {
				return fmt.Errorf("member %d lacks %q at %d of %d", m.ID, line, place, len(lines))
			}
		}
		if first := list[0].Machine.app.(*journal).Lines; !slices.Equal(lines, first) {
			return fmt.Errorf("members %d and %d differ", m.ID, list[0].ID)
		}
		if n := len(k.mine) + len(k.disk.held); n > 0 {
			return fmt.Errorf("%d proposals of member %d have no answer", n, m.ID)
		}
	}
	if running {
		d.began++
	}
	return nil
}

// lives runs a group through several lives, and tells what was wrong.
func lives(t *testing.T, seed uint64, size int, flaw func(*memory)) (d *disks, err error) {
	d = &disks{t: t, acked: map[int]string{}}
	for range size {
		s := &memory{}
		flaw(s)
		d.list = append(d.list, s)
	}
	for life := range uint64(12) {
		if err := d.work(seed*100+life, life%3 == 2 || life == 11); err != nil {
			return d, fmt.Errorf("seed %d, life %d: %w", seed, life, err)
		}
	}
	return d, nil
}

// TestAllFailAtOnce: whatever of the disks' work is done when all fail, and whichever
// of enough come back, what was acknowledged is there, in its place.
func TestAllFailAtOnce(t *testing.T) {
	began, acked := 0, 0
	for seed := range uint64(60) {
		d, err := lives(t, seed, 3, func(*memory) {})
		if err != nil {
			t.Fatal(err)
		}
		began += d.began
		acked += len(d.acked)
	}
	t.Logf("groups began %d times, %d commands acknowledged", began, acked)
	if began < 300 || acked < 10_000 {
		t.Errorf("that tests little")
	}
}

// TestBadStorageIsCaught: the same test notices what a storage must not do.
func TestBadStorageIsCaught(t *testing.T) {
	for name, flaw := range map[string]func(*memory){
		"what is appended is not synced": func(s *memory) { s.lazy = true },
		"epochs are not stored":          func(s *memory) { s.timid = true },
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(300) {
				if _, err := lives(t, seed, 3, flaw); err != nil {
					t.Logf("caught: %v", err)
					return
				}
			}
			t.Error("not caught by 300 seeds")
		})
	}
}
