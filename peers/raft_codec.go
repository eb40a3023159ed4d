package main

import (
	"encoding/binary"
	"errors"
	"fmt"

	pb "go.etcd.io/raft/v3/raftpb"
)

// A frame is its length (4 bytes, little-endian, without itself), the message's numbers as
// uvarints, and the data of its entries, which is sent from where it lies in
// the log and stays where it was received: protobuf would copy it on both sides.
const (
	lengthSize = 4
	maxFrame   = 64 << 20 // bytes
)

var errFrame = errors.New("raft: damaged frame")

// appendHeader appends a frame up to its entries' data. Snapshots are not sent: no
// member is ever so far behind.
func appendHeader(b []byte, m *pb.Message) ([]byte, error) {
	if m.GetType() == pb.MsgSnap {
		return b, fmt.Errorf("raft: member %d needs a snapshot", m.GetTo())
	}
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	reject := uint64(0)
	if m.GetReject() {
		reject = 1
	}
	for _, v := range [...]uint64{uint64(m.GetType()), m.GetTo(), m.GetFrom(), m.GetTerm(), m.GetLogTerm(), m.GetIndex(),
		m.GetCommit(), m.GetVote(), reject, m.GetRejectHint(), uint64(len(m.GetContext()))} {
		b = binary.AppendUvarint(b, v)
	}
	b = append(b, m.GetContext()...)
	b = binary.AppendUvarint(b, uint64(len(m.GetEntries())))
	size := 0
	for _, e := range m.GetEntries() {
		for _, v := range [...]uint64{e.GetTerm(), e.GetIndex(), uint64(e.GetType()), uint64(len(e.GetData()))} {
			b = binary.AppendUvarint(b, v)
		}
		size += len(e.GetData())
	}
	if size += len(b) - start - lengthSize; size > maxFrame {
		return b, fmt.Errorf("raft: a frame of %d bytes: want at most %d", size, maxFrame)
	}
	binary.LittleEndian.PutUint32(b[start:], uint32(size))
	return b, nil
}

// numbers reads uvarints.
type numbers struct {
	b   []byte
	bad bool
}

func (n *numbers) next() uint64 {
	v, used := binary.Uvarint(n.b)
	if used <= 0 {
		n.bad, n.b = true, nil
		return 0
	}
	n.b = n.b[used:]
	return v
}

// take returns so many bytes, borrowed.
func (n *numbers) take(size uint64) []byte {
	if size > uint64(len(n.b)) {
		n.bad, n.b = true, nil
		return nil
	}
	b := n.b[:size:size]
	n.b = n.b[size:]
	return b
}

// decode returns the message of a frame without its length. Its data is that of b.
func decode(b []byte) (*pb.Message, error) {
	n := numbers{b: b}
	var v [10]uint64
	for i := range v {
		v[i] = n.next()
	}
	m := &pb.Message{Type: pb.MessageType(v[0]).Enum(), To: &v[1], From: &v[2], Term: &v[3], LogTerm: &v[4], Index: &v[5],
		Commit: &v[6], Vote: &v[7], Reject: new(v[8] != 0), RejectHint: &v[9]}
	if size := n.next(); size > 0 {
		m.Context = n.take(size)
	}
	count := n.next()
	if n.bad || count > uint64(len(n.b)) { // an entry takes some bytes
		return nil, errFrame
	}
	sizes := make([]uint64, count)
	for i := range sizes {
		e := &pb.Entry{Term: new(n.next()), Index: new(n.next()), Type: pb.EntryType(n.next()).Enum()}
		sizes[i] = n.next()
		m.Entries = append(m.Entries, e)
	}
	for i, e := range m.Entries {
		if sizes[i] > 0 {
			e.Data = n.take(sizes[i])
		}
	}
	if n.bad || len(n.b) != 0 {
		return nil, errFrame
	}
	return m, nil
}
