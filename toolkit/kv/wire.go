package kv

import "encoding/binary"

type kind byte

const (
	put    kind = 1 + iota
	remove      // delete
	last
)

// anyVersion is that of a command that does not care what it replaces.
const anyVersion = ^uint64(0)

// command is kind, version that the key must have (0: be absent), and length of the key,
// 8 bytes each but for the kind, little endian; the key; the value.
type command struct {
	kind       kind
	version    uint64
	key, value []byte
}

const commandHead = 1 + 8 + 8

func (c command) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(append(b, byte(c.kind)), c.version)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(c.key)))
	return append(append(b, c.key...), c.value...)
}

func parseCommand(b []byte) (c command, ok bool) {
	if len(b) < commandHead {
		return c, false
	}
	c.kind, c.version = kind(b[0]), binary.LittleEndian.Uint64(b[1:])
	size := binary.LittleEndian.Uint64(b[9:])
	if b = b[commandHead:]; size > uint64(len(b)) || c.kind < put || c.kind >= last {
		return c, false
	}
	c.key, c.value = b[:size], b[size:]
	return c, true
}

// result is whether it was done, and the key's version after that.
func appendResult(b []byte, done bool, version uint64) []byte {
	flag := byte(0)
	if done {
		flag = 1
	}
	return binary.LittleEndian.AppendUint64(append(b, flag), version)
}

func parseResult(b []byte) (done bool, version uint64, ok bool) {
	if len(b) != 9 {
		return false, 0, false
	}
	return b[0] == 1, binary.LittleEndian.Uint64(b[1:]), true
}
