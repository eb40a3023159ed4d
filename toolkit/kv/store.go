package kv

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"cohort/engine"
)

// store is the replicated part: keys and values as bytes.
type store struct {
	entries  map[string]entry
	version  uint64 // of the last change
	watchers map[*watcher]struct{}
}

type entry struct {
	value   []byte // never written to
	version uint64
}

// change is what became of a key.
type change struct {
	key string
	entry
	deleted bool
}

func newStore() *store {
	return &store{entries: map[string]entry{}, watchers: map[*watcher]struct{}{}}
}

// Apply carries out a command; one that is none changes nothing.
func (s *store) Apply(b []byte) []byte {
	c, ok := parseCommand(b)
	if !ok {
		return appendResult(nil, false, 0)
	}
	old, there := s.entries[string(c.key)]
	if c.version != anyVersion && c.version != old.version || c.kind == remove && !there {
		return appendResult(nil, false, old.version)
	}
	s.version++
	k := change{key: string(c.key), entry: entry{version: s.version}}
	if c.kind == put {
		k.value = slices.Clone(c.value)
		s.entries[k.key] = k.entry
	} else {
		k.deleted = true
		delete(s.entries, k.key)
	}
	for w := range s.watchers {
		w.add(k)
	}
	if k.deleted {
		return appendResult(nil, true, 0)
	}
	return appendResult(nil, true, s.version)
}

// Snapshot is the version and the number of entries, and of each the version, the
// lengths of key and value, and these.
func (s *store) Snapshot() (io.ReadCloser, error) {
	b := binary.LittleEndian.AppendUint64(nil, s.version)
	return io.NopCloser(&snapshot{s.list(), binary.LittleEndian.AppendUint64(b, uint64(len(s.entries)))}), nil
}

// list is the entries as they are now: values are never written to, so it costs no copy of them.
func (s *store) list() []change {
	list := make([]change, 0, len(s.entries))
	for k, e := range s.entries {
		list = append(list, change{key: k, entry: e})
	}
	return list
}

// snapshot streams entries.
type snapshot struct {
	rest []change
	buf  []byte // encoded, and not read yet
}

func (s *snapshot) Read(p []byte) (int, error) {
	if len(s.buf) == 0 {
		if len(s.rest) == 0 {
			return 0, io.EOF
		}
		e := s.rest[0]
		s.rest = s.rest[1:]
		for _, k := range []uint64{e.version, uint64(len(e.key)), uint64(len(e.value))} {
			s.buf = binary.LittleEndian.AppendUint64(s.buf, k)
		}
		s.buf = append(append(s.buf, e.key...), e.value...)
	}
	n := copy(p, s.buf)
	s.buf = s.buf[n:]
	return n, nil
}

// Restore takes what Snapshot streams. Watchers have to look at everything anew.
func (s *store) Restore(r io.Reader) error {
	in := bufio.NewReader(r)
	var version, count uint64
	if err := readNumbers(in, &version, &count); err != nil {
		return err
	}
	entries := map[string]entry{}
	for range count {
		var e entry
		var key, value uint64
		if err := readNumbers(in, &e.version, &key, &value); err != nil {
			return err
		}
		if key > engine.MaxMessage || value > engine.MaxMessage {
			return fmt.Errorf("kv: a state with a key of %d and a value of %d bytes, want at most %d", key, value, engine.MaxMessage)
		}
		b := make([]byte, key+value)
		if _, err := io.ReadFull(in, b); err != nil {
			return err
		}
		e.value = b[key:]
		entries[string(b[:key])] = e
	}
	s.entries, s.version = entries, version
	for w := range s.watchers {
		w.lose()
	}
	return nil
}

func readNumbers(in io.Reader, list ...*uint64) error {
	for _, k := range list {
		if err := binary.Read(in, binary.LittleEndian, k); err != nil {
			return err
		}
	}
	return nil
}
