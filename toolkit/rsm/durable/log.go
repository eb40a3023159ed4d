// Package durable keeps what a replicated state machine must not forget in a folder: it
// is the rsm.Storage for files. It uses etcd's write-ahead log.
package durable

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"cohort/toolkit/rsm"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3/raftpb"
)

// Log is one member's storage: a file with a state, and a log of what has come since. A
// saved state begins a new pair of them, and the old ones are removed. It is for one
// process: others that open it get an error; and for one replica. Its methods may be called from any goroutine;
// once it is closed they return os.ErrClosed.
//
// A log takes 64 MiB of disk from its beginning, and as much again for its next file.
type Log struct {
	mu     sync.Mutex
	closed bool
	dir    string
	lock   *fileutil.LockedFile // the folder's, as long as this process has it open
	num    uint64               // of the pair
	wal    *wal.WAL
	last   uint64 // records in the log
	batch  uint64 // counts the writes to it: each is one fdatasync
	stored rsm.Stored
}

// Open opens the storage in the folder, which is made if it is not there. A write that a
// crash has torn is dropped: it was not acknowledged. An error tells of anything else
// that is damaged, by file and position in it, in bytes.
func Open(dir string) (*Log, error) {
	l := &Log{dir: dir}
	if err := l.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("durable: %s: %w", dir, err), l.Close())
	}
	return l, nil
}

func (l *Log) open() error {
	if err := makeFolder(l.dir, syncFolder); err != nil {
		return err
	}
	var err error
	switch l.lock, err = fileutil.TryLockFile(filepath.Join(l.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600); {
	case errors.Is(err, fileutil.ErrLocked):
		return fmt.Errorf("it is in use: %w", err)
	case err != nil:
		return err
	}
	if l.num, err = newest(l.dir); err != nil {
		return err
	}
	if l.num == 0 {
		return l.removeOthers() // what a crash has left of the first Save
	}
	if l.stored, err = readState(l.statePath(l.num)); err != nil {
		return err
	}
	if err := l.readLog(); err != nil {
		return fmt.Errorf("log %d: %w", l.num, err)
	}
	if err := l.sync(); err != nil {
		return err
	}
	return l.removeOthers()
}

// sync puts on the disk what was read: a process that was killed before its own sync may
// have left it in the page cache alone. From here on it counts as stored, and what it
// replaces may be removed.
func (l *Log) sync() error {
	return errors.Join(l.wal.Sync(), syncFolder(l.logPath(l.num)), syncFolder(l.dir))
}

// readLog opens the log of the pair for appending, and reads it.
func (l *Log) readLog() error {
	state, entries, err := l.tryLog()
	if err != nil {
		if damage := examine(l.logPath(l.num)); damage != nil {
			return fmt.Errorf("%w: %w", err, damage)
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) || !wal.Repair(nil, l.logPath(l.num)) {
			return err
		}
		if state, entries, err = l.tryLog(); err != nil {
			return err
		}
	}
	l.stored.Promise, l.batch = max(l.stored.Promise, state.GetTerm()), state.GetVote()
	for i, e := range entries {
		if e.GetIndex() != uint64(i)+1 {
			return fmt.Errorf("record %d is numbered %d", i+1, e.GetIndex())
		}
		l.stored.Records = append(l.stored.Records, e.GetData())
		l.batch = max(l.batch, e.GetTerm())
	}
	l.last = uint64(len(entries))
	return nil
}

func (l *Log) tryLog() (state *raftpb.HardState, entries []*raftpb.Entry, err error) {
	w, err := wal.Open(nil, l.logPath(l.num), &walpb.Snapshot{})
	if err != nil {
		return nil, nil, err
	}
	if _, state, entries, err = w.ReadAll(); err != nil {
		return nil, nil, errors.Join(err, w.Close())
	}
	l.wal = w
	return state, entries, nil
}

// Stored implements rsm.Storage: once a state or a record is written, it has none in
// memory, and is for no other replica until it is closed and opened anew.
func (l *Log) Stored() rsm.Stored {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stored
}

// Append implements rsm.Storage: one write and one fdatasync for all of them. A record's
// term is the number of the write.
func (l *Log) Append(records [][]byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return l.located(os.ErrClosed)
	}
	l.stored.State, l.stored.Records = nil, nil // not all there is any more
	l.batch++
	entries := make([]*raftpb.Entry, len(records))
	for i, b := range records {
		l.last++
		entries[i] = &raftpb.Entry{Index: new(l.last), Term: new(l.batch), Data: b}
	}
	return l.located(l.wal.Save(nil, entries))
}

// Promise implements rsm.Storage.
func (l *Log) Promise(epoch uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return l.located(os.ErrClosed)
	}
	l.stored.Promise = epoch
	l.batch++
	return l.located(l.wal.Save(&raftpb.HardState{Term: new(epoch), Vote: new(l.batch)}, nil))
}

// Save implements rsm.Storage. Until the state is whole on the disk the pair before counts.
func (l *Log) Save(epoch, position uint64, r io.Reader) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return l.located(os.ErrClosed)
	}
	l.num++
	l.stored = rsm.Stored{Promise: max(l.stored.Promise, epoch), Epoch: epoch, Position: position}
	if err := l.closeLog(); err != nil {
		return l.located(err)
	}
	w, err := wal.Create(nil, l.logPath(l.num), nil)
	if err != nil {
		return l.located(err)
	}
	l.wal, l.last, l.batch = w, 0, 0
	if err := syncFolder(l.logPath(l.num)); err != nil { // Create does so for its parent only
		return l.located(err)
	}
	if err := writeState(l.statePath(l.num), l.stored, r); err != nil {
		return l.located(err)
	}
	return l.located(l.removeOthers())
}

// Close closes the files, once what is being written is.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	err := l.closeLog()
	if l.lock != nil {
		err = errors.Join(err, l.lock.Close())
		l.lock = nil
	}
	return err
}

func (l *Log) closeLog() error {
	if l.wal == nil {
		return nil
	}
	w := l.wal
	l.wal = nil
	return w.Close()
}

func (l *Log) located(err error) error {
	if err != nil {
		err = fmt.Errorf("durable: %s: %w", l.dir, err)
	}
	return err
}
