package rsm

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"cohort/engine"
	"cohort/membership"
)

// Storage keeps a member's part of a group's state where a crash does not reach it;
// package durable has one on files. A method that returns without error has put all on
// the disk. Calls are made one at a time. After an error it is not used any more.
type Storage interface {
	// Stored returns what there was when the storage was opened. One that was written to
	// since may leave State and Records out, but not Epoch: JoinDurable refuses it.
	Stored() Stored

	// Save replaces all that is stored by the state that r streams, of this epoch and
	// position; the promise stays.
	Save(epoch, position uint64, r io.Reader) error

	// Append adds the next records, of the positions that follow.
	Append(records [][]byte) error

	// Promise notes an epoch, which is higher than that before.
	Promise(epoch uint64) error
}

// Stored is what a storage has. The zero value is that of an empty one.
type Stored struct {
	Promise  uint64
	Epoch    uint64
	Position uint64   // of State
	State    []byte   // as it was saved; nil if none was, or if it is not kept in memory
	Records  [][]byte // appended since
}

// Durability says how a group survives that all its members fail at once.
type Durability struct {
	Storage Storage // the replica's from here on, until Replica.Released

	// Disks is how many members the group has, each with a storage of its own. All must
	// agree on it. A command is acknowledged once a majority of the disks has it, and
	// after all have failed the group goes on once a majority of the disks is back. A
	// storage that was lost may be replaced by an empty one, if it never comes back.
	Disks int

	// Alone has the group go on with the disks that are there: for an operator who knows
	// that more do not come back, and takes that what they alone have is lost.
	Alone bool

	// LogLimit is the bytes of commands after which the state is saved anew and they are
	// dropped. Default 64 MiB.
	LogLimit int
}

// ErrDisks: the group has more members than disks.
var ErrDisks = errors.New("the group has a member for each of its disks")

const defaultLogLimit = 64 << 20

// The next epoch has to be promised by a majority of the disks, so no two recoveries have
// the same. It tells logs apart: the same epoch is the same history, one further than
// the other perhaps; of a lower epoch the end may have been acknowledged by nobody.

// disk is the part of the machine that deals with the storage.
type disk struct {
	cfg Durability

	// Of the group, the same at all:
	running  bool
	haves    []have // who has told what it has, as long as the group is not running
	electing uint64 // the epoch that is to be promised
	seeder   uint64 // who gives the state
	seed     []byte // what of it has come

	// Of this member:
	epoch     uint64 // of the state
	promised  uint64 // on the disk
	promising uint64 // on its way there
	surplus   bool   // there are as many members as disks without it
	told      bool   // the others what it has
	fresh     bool   // the state has been taken over, and is not on its way to the disk
	logged    int    // bytes appended since the state was saved
	synced    mark   // what is on the disk
	others    map[uint64]mark
	held      []held
	order     []uint64      // members, oldest first
	wake      chan struct{} // holds one: there are jobs, or the disk is closed

	mu     sync.Mutex // a Join that has failed gives no host, whose lock would do
	jobs   []job      // for the storage, oldest first
	closed bool       // nothing is written any more
}

// have is what a member has told.
type have struct {
	member                             uint64
	promise, epoch, position, promised uint64
	alone                              bool
}

// mark is how far a log goes.
type mark struct{ epoch, position uint64 }

// job is something for the storage: a record, a state, or a promise; or why there is none.
type job struct {
	mark
	record  []byte
	state   io.ReadCloser
	promise uint64
	err     error
}

// held waits for a position to be on a majority of the disks.
type held struct {
	position uint64
	done     func(error)
}

func newDisk(cfg Durability) (*disk, error) {
	switch {
	case cfg.Storage == nil:
		return nil, fmt.Errorf("rsm: %w: Storage is nil", engine.ErrConfig)
	case cfg.Disks < 1 || cfg.Disks > membership.MaxMembers:
		return nil, fmt.Errorf("rsm: %w: Disks is %d, want 1 to %d", engine.ErrConfig, cfg.Disks, membership.MaxMembers)
	case cfg.LogLimit < 0:
		return nil, fmt.Errorf("rsm: %w: LogLimit is %d bytes, want 0 or more", engine.ErrConfig, cfg.LogLimit)
	}
	if cfg.LogLimit == 0 {
		cfg.LogLimit = defaultLogLimit
	}
	return &disk{cfg: cfg, others: map[uint64]mark{}, wake: make(chan struct{}, 1)}, nil
}

// close gives up what waits for the storage, and what would come.
func (d *disk) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	drop(d.jobs)
	d.jobs = nil
	d.poke()
}

// drop closes the states of jobs that are not done.
func drop(jobs []job) {
	for _, j := range jobs {
		if j.state != nil {
			_ = j.state.Close() // nobody reads it
		}
	}
}

func (d *disk) add(j job) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.surplus || d.closed {
		drop([]job{j})
		return
	}
	d.jobs = append(d.jobs, j)
	d.poke()
}

func (d *disk) poke() {
	select {
	case d.wake <- struct{}{}:
	default: // it is awake already
	}
}

// take returns what waits for the storage; false if nothing will any more.
func (d *disk) take() (jobs []job, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	jobs, d.jobs = d.jobs, nil
	return jobs, !d.closed
}
