package rsm

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cohort/engine"
	"cohort/internal/testring"
	"cohort/membership"
	"cohort/toolkit"
)

type closed struct {
	io.Reader
	times int
}

func (c *closed) Close() error { c.times++; return nil }

// TestBrokenStorageTakesNothing: what cannot be written any more is not kept.
func TestBrokenStorageTakesNothing(t *testing.T) {
	d, err := newDisk(Durability{Storage: &memory{}, Disks: 1})
	if err != nil {
		t.Fatal(err)
	}
	var states [2]closed
	for i := range states {
		states[i].Reader = strings.NewReader("state")
		d.add(job{state: &states[i]})
		d.add(job{record: []byte("record")})
		if i == 0 {
			d.close()
		}
	}
	if len(d.jobs) != 0 || states[0].times != 1 || states[1].times != 1 {
		t.Errorf("%d jobs wait, states closed %d and %d times", len(d.jobs), states[0].times, states[1].times)
	}
}

// failing is a storage that takes no records.
type failing struct{ memory }

var errFull = errors.New("disk full")

func (f *failing) Append([][]byte) error { return errFull }

// TestStorageFails: who proposes is told why, and nothing piles up.
func TestStorageFails(t *testing.T) {
	node := testring.Open(t, 1, testring.Timeout)[0]
	r, err := JoinDurable(testring.Patient(t), node, "g", &journal{}, Durability{Storage: &failing{}, Disks: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Propose(testring.Patient(t), []byte("x")); !errors.Is(err, errFull) {
		t.Errorf("%v, want %v", err, errFull)
	}
	r.host.Look(func(m *machine) {
		if !m.disk.closed || len(m.disk.jobs) != 0 {
			t.Errorf("closed: %v, %d jobs wait", m.disk.closed, len(m.disk.jobs))
		}
	})
}

// faithless is a storage that takes no promises.
type faithless struct{ memory }

func (f *faithless) Promise(uint64) error { return errFull }

// TestStorageFailsAtTheBeginning: who waits for the group to run is told why it does not here.
func TestStorageFailsAtTheBeginning(t *testing.T) {
	node := testring.Open(t, 1, testring.Timeout)[0]
	r, err := JoinDurable(testring.Patient(t), node, "g", &journal{}, Durability{Storage: &faithless{}, Disks: 1})
	if err != nil {
		t.Fatal(err)
	}
	var unknown *UnknownError
	if _, err := r.Propose(testring.Patient(t), []byte("x")); !errors.Is(err, errFull) || errors.As(err, &unknown) {
		t.Errorf("Propose: %v, want %v, and to know that it is not applied", err, errFull)
	}
	if err := r.Read(testring.Patient(t), func() {}); !errors.Is(err, errFull) {
		t.Errorf("Read: %v, want %v", err, errFull)
	}
}

var errFiles = errors.New("too many open files")

// moody is a journal whose Snapshot fails from a call on.
type moody struct {
	journal
	from, calls int
}

func (j *moody) Snapshot() (io.ReadCloser, error) {
	if j.calls++; j.calls >= j.from {
		return nil, errFiles
	}
	return j.journal.Snapshot()
}

// TestSnapshotFails: where the disk is to have a state that this member gets from the
// others, and the application does not give it, no records are written after another.
func TestSnapshotFails(t *testing.T) {
	d := &disks{t: t, list: make([]*memory, 3)}
	command := func(n uint64) []byte { return appendCommand(nil, ID{1, n, n - 1}, []byte{byte(n)}) }
	others := d.machine(&memory{})
	initial, err := others.bytes()
	if err != nil {
		t.Fatal(err)
	}
	others.disk.running, others.disk.epoch = true, 1
	for n := range uint64(10) {
		others.apply(command(n + 1))
	}
	state, err := others.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	s := &memory{has: Stored{Promise: 1, Epoch: 1, State: initial, Records: [][]byte{command(1), command(2), command(3)}}}
	m := d.machine(s)
	m.app = &moody{} // from now on
	if err := m.Restore(state); err != nil {
		t.Fatal(err)
	}
	out := &sink{}
	m.View(toolkit.View{GroupView: engine.GroupView{Members: []membership.Member{{ID: 8}, {ID: 9}}}, Self: 9}, out)
	m.Deliver(toolkit.Message{From: 8, Payload: command(11)}, out)
	if _, _, err := some(s, m.disk.jobs); !errors.Is(err, errFiles) || len(s.has.Records) != 3 || m.disk.synced.position != 3 {
		t.Errorf("%v, %d records on the disk, and %+v said to be; want %v, 3 of epoch 1", err, len(s.has.Records), m.disk.synced, errFiles)
	}
}

// TestSnapshotFailsAtTheBeginning: JoinDurable or Propose tells.
func TestSnapshotFailsAtTheBeginning(t *testing.T) {
	const empty, seeded = 2, 4 // the calls for the first state on the disk, and for the group's
	for _, from := range []int{empty, seeded} {
		node := testring.Open(t, 1, testring.Timeout)[0]
		r, err := JoinDurable(testring.Patient(t), node, "g", &moody{from: from}, Durability{Storage: &memory{}, Disks: 1})
		if err == nil {
			_, err = r.Propose(testring.Patient(t), []byte("x"))
		}
		if !errors.Is(err, errFiles) {
			t.Errorf("from its call %d on: %v, want %v", from, err, errFiles)
		}
	}
}

// counted is a journal that counts its snapshots that are open.
type counted struct {
	journal
	open atomic.Int64
}

type countedReader struct {
	io.Reader
	open *atomic.Int64
}

func (r countedReader) Close() error {
	r.open.Add(-1)
	return nil
}

func (c *counted) Snapshot() (io.ReadCloser, error) {
	r, err := c.journal.Snapshot()
	c.open.Add(1)
	return countedReader{r, &c.open}, err
}

// TestJoinThatFailsClosesSnapshots.
func TestJoinThatFailsClosesSnapshots(t *testing.T) {
	node := testring.Open(t, 1, testring.Timeout)[0]
	if err := node.Close(); err != nil {
		t.Fatal(err)
	}
	app := &counted{}
	_, err := JoinDurable(testring.Patient(t), node, "g", app, Durability{Storage: &memory{}, Disks: 1})
	if n := app.open.Load(); err == nil || n != 0 {
		t.Errorf("%v; %d snapshots are open, want an error and none", err, n)
	}
}

// slow is a storage whose Append waits for the gate.
type slow struct {
	memory
	once        sync.Once
	begun, gate chan struct{}
}

func newSlow() *slow { return &slow{begun: make(chan struct{}), gate: make(chan struct{})} }

func (s *slow) Append(records [][]byte) error {
	s.once.Do(func() { close(s.begun) })
	<-s.gate
	return s.memory.Append(records)
}

// TestLeaveClosesSnapshots that wait to be stored.
func TestLeaveClosesSnapshots(t *testing.T) {
	node := testring.Open(t, 1, testring.Timeout)[0]
	app, s := &counted{}, newSlow()
	r, err := JoinDurable(testring.Patient(t), node, "g", app, Durability{Storage: s, Disks: 1, LogLimit: 40})
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	propose := func(command string) {
		work.Go(func() { _, _ = r.Propose(testring.Patient(t), []byte(command)) }) // the group is left meanwhile
	}
	propose("short")
	<-s.begun
	for range 4 {
		propose("so long that the state is saved")
	}
	testring.Eventually(t, "snapshots wait", func() bool { return app.open.Load() >= 2 })
	left := make(chan error)
	go func() { left <- r.Leave(testring.Patient(t)) }()
	<-r.Group().Gone()
	close(s.gate)
	if err := <-left; err != nil {
		t.Fatal(err)
	}
	work.Wait()
	if n := app.open.Load(); n != 0 {
		t.Errorf("%d snapshots stay open", n)
	}
}

// TestReleased: a storage is released once no call of it is under way.
func TestReleased(t *testing.T) {
	for _, how := range []string{"leave", "close"} {
		node := testring.Open(t, 1, testring.Timeout)[0]
		s := newSlow()
		r, err := JoinDurable(testring.Patient(t), node, "g", &journal{}, Durability{Storage: s, Disks: 1})
		if err != nil {
			t.Fatal(err)
		}
		go r.Propose(testring.Patient(t), []byte("x")) // its error is engine.ErrNotMember or ErrClosed
		<-s.begun
		if how == "leave" {
			ctx, cancel := context.WithTimeout(testring.Patient(t), 50*time.Millisecond)
			defer cancel()
			if err := r.Leave(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Leave with a call under way: %v, want DeadlineExceeded", err)
			}
		} else if err := node.Close(); err != nil {
			t.Error(err)
		}
		select {
		case <-r.Released():
			t.Errorf("%s: released, and a call is under way", how)
		case <-time.After(20 * time.Millisecond):
		}
		close(s.gate)
		select {
		case <-r.Released():
		case <-testring.Patient(t).Done():
			t.Errorf("%s: not released", how)
		}
	}
}

// busy is a storage whose Save waits for the gate.
type busy struct {
	memory
	begun, gate chan struct{}
	ended       atomic.Bool
}

func (s *busy) Save(epoch, position uint64, r io.Reader) error {
	close(s.begun)
	<-s.gate
	defer s.ended.Store(true)
	return s.memory.Save(epoch, position, r)
}

// TestErrDisksReleases: who is told that there are more members than disks has the storage back.
func TestErrDisksReleases(t *testing.T) {
	nodes := testring.Open(t, 2, testring.Timeout)
	if _, err := JoinDurable(testring.Patient(t), nodes[0], "g", &journal{}, Durability{Storage: &memory{}, Disks: 1}); err != nil {
		t.Fatal(err)
	}
	s := &busy{begun: make(chan struct{}), gate: make(chan struct{})}
	ctx, cancel := context.WithCancel(testring.Patient(t))
	defer cancel()
	go func() {
		<-s.begun
		cancel()
		time.Sleep(200 * time.Millisecond)
		close(s.gate)
	}()
	_, err := JoinDurable(ctx, nodes[1], "g", &journal{}, Durability{Storage: s, Disks: 1})
	if !errors.Is(err, ErrDisks) || !s.ended.Load() {
		t.Errorf("%v, its last call has ended: %v; want ErrDisks and true", err, s.ended.Load())
	}
}
