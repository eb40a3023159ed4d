// Package spool holds back any number of records in bounded memory: what does not
// fit goes to a temporary file. A joiner keeps in it the messages that come while
// its state is being restored.
package spool

import (
	"encoding/binary"
	"fmt"
	"os"
)

const (
	bufferSize = 64 << 10 // of the file's two buffers and of a block of memory, bytes
	headSize   = 24       // of a record, bytes: a, b and the length of its payload, each u64
)

var le = binary.LittleEndian

// Spool is a queue of records, first in, first out. One goroutine uses it.
//
// It holds records, the oldest first, in the unread part of what was read from the
// file; then in memory; then in the file and the buffer before it. What comes while
// the file holds records goes behind them.
type Spool struct {
	memory memory
	spill  spill
	count  int
	bytes  int64
	closed bool
	head   [headSize]byte // of the record being appended; on the stack it would escape
}

// New returns an empty Spool that keeps up to limit bytes of records in memory, 24
// for each record included. Beyond limit it uses two buffers of 64 KiB, and memory
// for the one record that Next has returned. A file is created when these do not
// suffice; its space is given back when all of it has been read. A limit of 0 or
// less leaves the buffers and the file.
func New(limit int) *Spool { return newSpool(limit, bufferSize, tempFile("")) }

func newSpool(limit, buffer int, create func() (file, error)) *Spool {
	return &Spool{
		memory: memory{limit: limit, block: min(buffer, limit)},
		spill:  spill{buffer: buffer, create: create},
	}
}

// Append adds a record behind all others. The payload is copied. An error is the
// file system's, or os.ErrClosed: the record was not added, and all others are
// still there.
func (s *Spool) Append(a, b uint64, payload []byte) error {
	if s.closed {
		return errClosed("append")
	}
	head := s.head[:]
	le.PutUint64(head, a)
	le.PutUint64(head[8:], b)
	le.PutUint64(head[16:], uint64(len(payload)))
	if s.spill.behind() > 0 || !s.memory.append(head, payload) {
		if err := s.spill.append(head, payload); err != nil {
			return fmt.Errorf("spool: append record of %d bytes behind %d others: %w", len(payload), s.count, err)
		}
	}
	s.count++
	s.bytes += int64(len(payload))
	return nil
}

// Next takes the oldest record; ok tells whether there was one. The payload is
// borrowed until the next call of Next, Reset or Close; Append leaves it alone. An
// error is the file system's, or os.ErrClosed: no record was taken.
func (s *Spool) Next() (a, b uint64, payload []byte, ok bool, err error) {
	if s.closed {
		return 0, 0, nil, false, errClosed("next")
	}
	s.memory.release()
	var rec []byte
	if s.spill.ahead() == 0 && !s.memory.empty() {
		rec = s.memory.next()
	} else if rec, err = s.spill.next(); err != nil {
		return 0, 0, nil, false, fmt.Errorf("spool: next of %d records: %w", s.count, err)
	}
	if rec == nil {
		return 0, 0, nil, false, nil
	}
	payload = rec[headSize:]
	s.count--
	s.bytes -= int64(len(payload))
	return le.Uint64(rec), le.Uint64(rec[8:]), payload, true, nil
}

// Len returns how many records are left.
func (s *Spool) Len() int { return s.count }

// Bytes returns the bytes of payload that are left.
func (s *Spool) Bytes() int64 { return s.bytes }

// Reset drops all records. An error says that the file system did not take the
// file's space back, or is os.ErrClosed; the Spool is empty all the same.
func (s *Spool) Reset() error {
	if s.closed {
		return errClosed("reset")
	}
	s.count, s.bytes = 0, 0
	s.memory.blocks, s.memory.off, s.memory.held = nil, 0, 0
	if err := s.spill.reset(); err != nil {
		return fmt.Errorf("spool: reset: %w", err)
	}
	return nil
}

// Close drops all records and the file. An error is the file system's. A second
// Close does nothing.
func (s *Spool) Close() error {
	if s.closed {
		return nil
	}
	f := s.spill.file
	*s = Spool{closed: true}
	if f == nil {
		return nil
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("spool: close: %w", err)
	}
	return nil
}

func errClosed(what string) error { return fmt.Errorf("spool: %s: %w", what, os.ErrClosed) }

// size returns the bytes of the record that b begins with.
func size(b []byte) uint64 { return headSize + le.Uint64(b[16:]) }
