package spool

// memory is a queue of records in blocks, so that what has been taken is free
// without copying what has not.
type memory struct {
	limit  int      // bytes of all blocks
	block  int      // bytes of a block; one for a larger record has its size
	blocks [][]byte // the last one is appended to, within its capacity
	off    int      // bytes taken from the first
	held   int      // bytes of all blocks
}

// append adds a record, unless it does not fit.
func (m *memory) append(head, payload []byte) bool {
	need := len(head) + len(payload)
	last := len(m.blocks) - 1
	if last < 0 || cap(m.blocks[last])-len(m.blocks[last]) < need {
		n := max(m.block, need)
		if m.held+n > m.limit {
			return false
		}
		m.blocks = append(m.blocks, make([]byte, 0, n))
		m.held += n
		last++
	}
	m.blocks[last] = append(append(m.blocks[last], head...), payload...)
	return true
}

// next takes the oldest record; the memory must not be empty, and released.
func (m *memory) next() []byte {
	b := m.blocks[0][m.off:]
	n := int(size(b))
	m.off += n
	return b[:n:n]
}

// release frees the first block if all of it has been taken. The record taken last
// may be there, so this waits until that is no longer borrowed.
func (m *memory) release() {
	switch {
	case len(m.blocks) == 0 || m.off < len(m.blocks[0]):
		return
	case len(m.blocks) == 1 && cap(m.blocks[0]) == m.block:
		m.blocks[0] = m.blocks[0][:0] // for what comes next
	default:
		m.held -= cap(m.blocks[0])
		m.blocks[0] = nil
		m.blocks = m.blocks[1:]
	}
	m.off = 0
}

func (m *memory) empty() bool { return len(m.blocks) == 0 || m.off == len(m.blocks[0]) }
