package control

import (
	"bufio"
	"net"
	"slices"

	"cohort/internal/frame"
)

// conn is what *net.TCPConn and *tls.Conn have in common.
type conn interface {
	net.Conn
	CloseWrite() error
}

// peer is one connection to another node, with a goroutine for each direction.
type peer struct {
	m    *Mesh
	id   uint64
	conn conn
	// raw is the socket below conn. It is what gets closed: closing TLS may wait
	// for the other side.
	raw  net.Conn
	last uint64        // hellos of this peer up to this attempt are older than the connection
	bell chan struct{} // the writer has something to do
	done chan struct{} // closed with the connection

	answer []byte // of the listener, to be written before the letters

	queue  [][]byte // under m.mu: letters to be written
	queued int      // under m.mu: bytes of queue and of what is being written
	ending bool     // under m.mu: close when the queue is empty
	broken error    // under m.mu: why nothing can be written any more
}

func newPeer(m *Mesh, id uint64, c conn, raw net.Conn, last uint64) *peer {
	return &peer{m: m, id: id, conn: c, raw: raw, last: last,
		bell: make(chan struct{}, 1), done: make(chan struct{})}
}

func (p *peer) ring() {
	select {
	case p.bell <- struct{}{}:
	default:
	}
}

// read posts the letters that come, until the connection ends. After a hangup it
// goes on and drops them: closing a socket with unread bytes would reset it, and
// the other side might lose the last letters.
func (p *peer) read() {
	r := bufio.NewReaderSize(p.conn, 64<<10)
	for {
		p.standStill()
		body, err := frame.Read(r, nil, MaxFrame)
		if err != nil {
			p.fail(err)
			return
		}
		p.receive(body)
	}
}

// standStill waits while too much of this peer is unpolled.
func (p *peer) standStill() {
	m := p.m
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.peers[p.id] == p && m.unpolled[p.id] >= MaxBacklog {
		m.polled.Wait()
	}
}

func (p *peer) receive(body []byte) {
	p.m.mu.Lock()
	defer p.m.unlock()
	if p.m.peers[p.id] == p {
		p.m.post(Event{Kind: Received, Peer: p.id, Body: body})
	}
}

func (p *peer) fail(err error) {
	p.m.mu.Lock()
	defer p.m.unlock()
	if p.broken != nil {
		err = p.broken
	}
	p.m.drop(p, err)
}

// breakOff is fail of the writer: the last letters of a peer that died may have
// arrived and not been read yet, so the reader has a short time to come to the end.
func (p *peer) breakOff(err error) {
	p.m.mu.Lock()
	defer p.m.unlock()
	p.broken, p.queue = err, nil
	p.m.closeWithin(p, drainTimeout)
}

// write writes what is queued, all of it at a time.
func (p *peer) write() {
	if len(p.answer) > 0 {
		if _, err := p.conn.Write(p.answer); err != nil {
			p.breakOff(err)
			return
		}
	}
	var heads []byte
	var frames [][]byte
	var batch [][]byte
	for {
		var ending bool
		if batch, ending = p.take(batch); len(batch) == 0 {
			if ending {
				_ = p.conn.CloseWrite() // the reader waits for the other side's end
				return
			}
			select {
			case <-p.bell:
				continue
			case <-p.done:
				return
			}
		}
		heads = slices.Grow(heads[:0], 4*len(batch))[:4*len(batch)]
		frames = appendFrames(frames[:0], heads, batch)
		err := p.writeAll(frames)
		p.wrote(batch)
		clear(batch)
		clear(frames)
		if err != nil {
			p.breakOff(err)
			return
		}
	}
}

// take exchanges the queue for spare, which is empty.
func (p *peer) take(spare [][]byte) (batch [][]byte, ending bool) {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	batch, p.queue = p.queue, spare[:0]
	return batch, p.ending
}

func (p *peer) wrote(batch [][]byte) {
	size := len(batch) * letterOverhead
	for _, b := range batch {
		size += len(b)
	}
	p.m.mu.Lock()
	p.queued -= size
	p.m.mu.Unlock()
}

// writeAll gathers in the kernel what goes over TCP, and in memory what goes over
// TLS, where each write would be a record.
func (p *peer) writeAll(frames [][]byte) error {
	buffers := net.Buffers(frames)
	if p.conn == p.raw {
		_, err := buffers.WriteTo(p.conn)
		return err
	}
	w := bufio.NewWriterSize(p.conn, 16<<10)
	if _, err := buffers.WriteTo(w); err != nil {
		return err
	}
	return w.Flush()
}
