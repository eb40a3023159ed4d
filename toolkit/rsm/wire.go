package rsm

import (
	"encoding/binary"
	"fmt"
)

// ID names a proposal, so that it is applied once however often it is proposed. The zero
// ID names none.
type ID struct {
	Client uint64 // who has drawn it: random
	Num    uint64 // counts what that one has drawn
	Since  uint64 // the position of its drawer at that time
}

// String is the ID for people.
func (id ID) String() string { return fmt.Sprintf("%x.%d since %d", id.Client, id.Num, id.Since) }

// key tells proposals apart.
type key struct{ client, num uint64 }

func (id ID) key() key { return key{id.Client, id.Num} }

// The first byte of a message tells what follows: numbers of 8 bytes, little endian, as
// the functions below have them, and then the rest.
const (
	tagCommand  = 1 + iota // client, number, since; the command
	tagBarrier             // number
	tagHave                // promise, epoch, position, alone: of a member's disk
	tagPromised            // epoch
	tagSeed                // epoch, whether it is the last; some of the state
	tagSynced              // epoch, position
)

const commandHead = 1 + 3*8

// MaxCommand is how much a command may have less than the largest message, bytes.
const MaxCommand = maxMessage - commandHead

func appendCommand(b []byte, id ID, command []byte) []byte {
	return append(appendNumbers(b, tagCommand, id.Client, id.Num, id.Since), command...)
}

func appendNumbers(b []byte, tag byte, list ...uint64) []byte {
	b = append(b, tag)
	for _, k := range list {
		b = binary.LittleEndian.AppendUint64(b, k)
	}
	return b
}

// numbers takes len(list) numbers off b, after its tag, and returns what follows; false
// if b is too short.
func numbers(b []byte, list ...*uint64) ([]byte, bool) {
	if len(b) < 1+8*len(list) {
		return nil, false
	}
	b = b[1:]
	for _, k := range list {
		*k = binary.LittleEndian.Uint64(b)
		b = b[8:]
	}
	return b, true
}

func parseCommand(b []byte) (id ID, command []byte, ok bool) {
	command, ok = numbers(b, &id.Client, &id.Num, &id.Since)
	return id, command, ok
}
