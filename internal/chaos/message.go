package chaos

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"cohort/order"

	"github.com/cespare/xxhash/v2"
)

// threads is how many goroutines of a member send, each with numbers of its own.
const threads = 2

// headSize is what every message begins with: process, number, thread, level.
const headSize = 8

// maxSize is the largest message, bytes: several packets.
const maxSize = 20 << 10

// levels is what the members send, evenly.
var levels = [...]order.Level{
	order.FIFO, order.Causal, order.Total, order.FIFO.Safe(), order.Causal.Safe(), order.Total.Safe(),
	order.FIFO.SafeAll(), order.Causal.SafeAll(), order.Total.SafeAll(),
}

// noise is what messages are filled with.
var noise = func() (b [2 * maxSize]byte) {
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], mix(uint64(i)))
	}
	return b
}()

// mix scatters bits.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// spec is a message: everything about it follows from who sends it as which number.
type spec struct {
	process uint16
	thread  uint8
	num     uint32
}

func (s spec) bits() uint64 { return uint64(s.process)<<48 | uint64(s.thread)<<40 | uint64(s.num) }

func (s spec) level() order.Level { return levels[mix(s.bits()+1)%uint64(len(levels))] }

// size is 8 bytes for every third message, mostly some hundred, sometimes much.
func (s spec) size() int {
	x := mix(s.bits() + 2)
	switch kind, x := x%12, x>>8; kind {
	case 0, 1, 2, 3:
		return headSize
	case 4, 5, 6, 7, 8, 9:
		return headSize + int(x%600)
	case 10:
		return headSize + int(x%3000)
	default:
		return headSize + int(x%(maxSize-headSize+1))
	}
}

func (s spec) noise() []byte { return noise[mix(s.bits()+3)%maxSize:][:s.size()-headSize] }

// append appends the message's payload to b.
func (s spec) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint16(b, s.process)
	b = append(b, s.thread, byte(s.level()))
	b = binary.LittleEndian.AppendUint32(b, s.num)
	return append(b, s.noise()...)
}

// parse reads a payload; ok is false if nobody has sent such a one.
func parse(b []byte) (s spec, ok bool) {
	if len(b) < headSize {
		return spec{}, false
	}
	s = spec{process: binary.LittleEndian.Uint16(b), thread: b[2], num: binary.LittleEndian.Uint32(b[4:])}
	return s, s.thread < threads && b[3] == byte(s.level()) && len(b) == s.size() && bytes.Equal(b[headSize:], s.noise())
}

// nameOf is the name that a process goes by in views.
func nameOf(process int) string { return fmt.Sprintf("p%d", process) }

// processOf is the process of that name; -1: it is none.
func processOf(name string) int {
	k, err := strconv.Atoi(strings.TrimPrefix(name, "p"))
	if err != nil {
		return -1
	}
	return k
}

// sender is one thread of one incarnation of a member.
type sender struct {
	id     uint64
	thread uint8
}

// state is what every member of the group has the same of, where that binds: how far
// it is with each sender, and a chain of hashes over the total order and the views.
type state struct {
	epoch  uint64 // changes when the group begins anew
	view   uint64 // number of the group's view
	length uint64 // of the chain
	chain  uint64
	last   map[sender]uint32
	sum    uint64 // over last
}

func newState(epoch uint64) state { return state{epoch: epoch, last: map[sender]uint32{}} }

func (s sender) hash(num uint32) uint64 { return mix(mix(s.id+uint64(s.thread)) + uint64(num)) }

// has notes a message.
func (s *state) has(from sender, num uint32) {
	if old, ok := s.last[from]; ok {
		s.sum -= from.hash(old)
	}
	s.last[from] = num
	s.sum += from.hash(num)
}

func (s *state) link(x uint64) { s.length, s.chain = s.length+1, mix(s.chain+x) }

// total notes that the message is the next of the total order.
func (s *state) total(from sender, num uint32) { s.link(from.hash(num)) }

// goTo notes a view of the group.
func (s *state) goTo(num uint64, members []uint64) {
	s.view = num
	b := binary.LittleEndian.AppendUint64(nil, num)
	for _, id := range members {
		b = binary.LittleEndian.AppendUint64(b, id)
	}
	s.link(xxhash.Sum64(b))
}

// digest tells states apart.
func (s *state) digest() uint64 {
	return mix(mix(s.epoch+mix(s.view+mix(s.length)))+s.chain) + s.sum
}

// record is the state as a journal has it.
func (s *state) record() Record {
	r := Record{Kind: Restore, ID: s.epoch, Args: []uint64{s.length, s.chain, s.view}}
	for k, num := range s.last {
		r.Entries = append(r.Entries, Record{Kind: Entry, Thread: k.thread, Num: num, ID: k.id})
	}
	return r
}

// restored is record's inverse.
func restored(r Record) (state, bool) {
	if len(r.Args) != 3 {
		return state{}, false
	}
	s := newState(r.ID)
	s.length, s.chain, s.view = r.Args[0], r.Args[1], r.Args[2]
	for _, e := range r.Entries {
		s.has(sender{e.ID, e.Thread}, e.Num)
	}
	return s, true
}

// encode is a state as it travels, with so many bytes more.
func encode(rec Record, bulk int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, rec.ID)
	for _, a := range rec.Args {
		b = binary.LittleEndian.AppendUint64(b, a)
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(len(rec.Entries)))
	for _, e := range rec.Entries {
		x, y := e.words()
		b = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(b, x), y)
	}
	return append(b, make([]byte, bulk)...)
}

var errState = errors.New("chaos: this is no state")

// decode is encode's inverse.
func decode(b []byte) (Record, error) {
	word := func(k int) uint64 { return binary.LittleEndian.Uint64(b[8*k:]) }
	if len(b) < 40 || word(4) > uint64(len(b)-40)/16 {
		return Record{}, fmt.Errorf("%w: %d bytes", errState, len(b))
	}
	rec := Record{Kind: Restore, ID: word(0), Args: []uint64{word(1), word(2), word(3)}}
	for k := range int(word(4)) {
		rec.Entries = append(rec.Entries, unpack(word(5+2*k), word(6+2*k)))
	}
	return rec, nil
}
