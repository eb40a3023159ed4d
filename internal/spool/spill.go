package spool

import (
	"fmt"
	"io"
)

// spill is a queue of records in a file. All records in the file are older than
// those in the write buffer; all in the read buffer are older than those in the
// file.
type spill struct {
	create func() (file, error)
	file   file // nil until it is needed
	buffer int  // bytes of each buffer

	written int64  // bytes in the file, whole records
	fetched int64  // of those, in the read buffer or taken
	w       []byte // whole records that are not in the file
	r       []byte // fetched bytes
	off     int    // of those, taken
}

// ahead returns the bytes in the read buffer; what is in memory is younger.
func (s *spill) ahead() int { return len(s.r) - s.off }

// behind returns the bytes in the file and the write buffer; what is in memory is
// older.
func (s *spill) behind() int64 { return s.written - s.fetched + int64(len(s.w)) }

// append adds a record. After an error all is as before: what has got into the
// file lies beyond written, and is overwritten.
func (s *spill) append(head, payload []byte) error {
	need := len(head) + len(payload)
	if len(s.w)+need > s.buffer {
		if err := s.flush(); err != nil {
			return err
		}
	}
	if need > s.buffer {
		return s.appendLarge(head, payload)
	}
	if s.w == nil {
		s.w = make([]byte, 0, s.buffer)
	}
	s.w = append(append(s.w, head...), payload...)
	return nil
}

// appendLarge writes a record past the empty write buffer.
func (s *spill) appendLarge(head, payload []byte) error {
	if err := s.write(head, s.written); err != nil {
		return err
	}
	if err := s.write(payload, s.written+int64(len(head))); err != nil {
		return err
	}
	s.written += int64(len(head) + len(payload))
	return nil
}

func (s *spill) flush() error {
	if len(s.w) == 0 {
		return nil
	}
	if err := s.write(s.w, s.written); err != nil {
		return err
	}
	s.written += int64(len(s.w))
	s.w = s.w[:0]
	return nil
}

func (s *spill) write(b []byte, at int64) (err error) {
	if s.file == nil {
		if s.file, err = s.create(); err != nil {
			s.file = nil
			return err
		}
	}
	_, err = s.file.WriteAt(b, at)
	return err
}

// next takes the oldest record; nil if there is none.
func (s *spill) next() ([]byte, error) {
	if s.ahead() == 0 && s.fetched == s.written {
		if err := s.turn(); err != nil || s.ahead() == 0 {
			return nil, err
		}
	}
	if err := s.fetch(headSize); err != nil {
		return nil, err
	}
	n := size(s.r[s.off:])
	if held := uint64(s.ahead()) + uint64(s.written-s.fetched); n < headSize || n > held {
		return nil, fmt.Errorf("file is damaged: it has a record of %d bytes, want at most %d", n, held)
	}
	if err := s.fetch(int(n)); err != nil {
		return nil, err
	}
	rec := s.r[s.off:][:n:n]
	s.off += int(n)
	return rec, nil
}

// turn gives the space of the file back, of which all has been taken, and reads on
// in the write buffer, in exchange for the read buffer.
func (s *spill) turn() error {
	if s.written > 0 {
		if err := s.file.Truncate(0); err != nil {
			return err
		}
		s.written, s.fetched = 0, 0
	}
	if cap(s.r) > s.buffer {
		s.r = nil
	}
	s.r, s.w, s.off = s.w, s.r[:0], 0
	return nil
}

// fetch has at least n bytes in the read buffer, and as many as it can hold if it
// must read. A buffer that grew for a large record is left when it has been taken.
func (s *spill) fetch(n int) error {
	have := s.ahead()
	if have >= n {
		return nil
	}
	to := s.r[:cap(s.r)]
	if room := max(n, s.buffer); len(to) != room {
		to = make([]byte, room)
	}
	copy(to, s.r[s.off:])
	s.r, s.off = to[:have], 0
	more := to[have:]
	more = more[:min(int64(len(more)), s.written-s.fetched)]
	m, err := s.file.ReadAt(more, s.fetched)
	if m < len(more) {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF // someone else has cut the file
		}
		return err
	}
	s.r = to[:have+m]
	s.fetched += int64(m)
	return nil
}

// reset drops all records.
func (s *spill) reset() error {
	s.written, s.fetched, s.off = 0, 0, 0
	s.w, s.r = nil, nil
	if s.file == nil {
		return nil
	}
	return s.file.Truncate(0)
}
