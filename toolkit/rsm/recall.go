package rsm

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// The results that a group remembers: of so many commands, and of so many bytes at most.
// All members forget at the same place, so these are not for a program to choose.
const (
	rememberCount = 1 << 14
	rememberBytes = 16 << 20
)

// recall is the results of the last commands, by proposal: what makes a proposal that
// comes twice be applied once.
type recall struct {
	limit int // entries; rememberCount but in tests
	list  []remembered
	head  int         // of list: the oldest
	of    map[key]int // number of the entry, counted since ever
	first int         // number of the one at head
	bytes int
	floor uint64 // position of the last that was forgotten
}

type remembered struct {
	key      key
	position uint64
	result   []byte
}

func newRecall() recall { return recall{limit: rememberCount, of: map[key]int{}} }

func (r *recall) find(k key) (remembered, bool) {
	n, ok := r.of[k]
	if !ok {
		return remembered{}, false
	}
	return r.list[r.head+n-r.first], true
}

func (r *recall) add(e remembered) {
	r.of[e.key] = r.first + len(r.list) - r.head
	r.list = append(r.list, e)
	r.bytes += len(e.result)
	for len(r.list)-r.head > r.limit || r.bytes > rememberBytes && len(r.list)-r.head > 1 {
		r.forget()
	}
}

func (r *recall) forget() {
	e := r.list[r.head]
	r.list[r.head] = remembered{}
	delete(r.of, e.key)
	r.bytes -= len(e.result)
	r.floor = e.position
	r.head++
	r.first++
	if r.head > len(r.list)/2 {
		r.list = append(r.list[:0], r.list[r.head:]...)
		r.head = 0
	}
}

// append writes the table: the floor, how many, and each.
func (r *recall) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, r.floor)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(r.list)-r.head))
	for _, e := range r.list[r.head:] {
		for _, k := range []uint64{e.key.client, e.key.num, e.position, uint64(len(e.result))} {
			b = binary.LittleEndian.AppendUint64(b, k)
		}
		b = append(b, e.result...)
	}
	return b
}

// read takes what append wrote.
func (r *recall) read(in *bufio.Reader) error {
	var count uint64
	if err := readNumbers(in, &r.floor, &count); err != nil {
		return err
	}
	if count > uint64(r.limit) {
		return fmt.Errorf("rsm: a state that remembers %d results, want at most %d", count, r.limit)
	}
	for range count {
		var e remembered
		var size uint64
		if err := readNumbers(in, &e.key.client, &e.key.num, &e.position, &size); err != nil {
			return err
		}
		if size > maxMessage {
			return fmt.Errorf("rsm: a state with a result of %d bytes, want at most %d", size, maxMessage)
		}
		e.result = make([]byte, size)
		if _, err := io.ReadFull(in, e.result); err != nil {
			return err
		}
		r.add(e)
	}
	return nil
}

func readNumbers(in io.Reader, list ...*uint64) error {
	var b [8]byte
	for _, k := range list {
		if _, err := io.ReadFull(in, b[:]); err != nil {
			return err
		}
		*k = binary.LittleEndian.Uint64(b[:])
	}
	return nil
}
