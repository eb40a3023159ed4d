package main

import (
	"bytes"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// sample has a value in each field that is sent.
func sample() *pb.Message {
	return &pb.Message{
		Type: pb.MsgApp.Enum(), To: new(uint64(2)), From: new(uint64(1)), Term: new(uint64(3)), LogTerm: new(uint64(2)),
		Index: new(uint64(1 << 40)), Commit: new(uint64(7)), Vote: new(uint64(1)), Reject: new(true), RejectHint: new(uint64(5)), Context: []byte("context"),
		Entries: []*pb.Entry{
			{Term: new(uint64(3)), Index: new(uint64(8)), Type: pb.EntryNormal.Enum(), Data: []byte("eight")},
			{Term: new(uint64(3)), Index: new(uint64(9)), Type: pb.EntryNormal.Enum()},
		},
	}
}

// frame is a message as it goes over the wire.
func frame(t *testing.T, m *pb.Message) []byte {
	t.Helper()
	b, err := appendHeader(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range m.GetEntries() {
		b = append(b, e.GetData()...)
	}
	return b
}

func TestFramesComeBack(t *testing.T) {
	one := frame(t, sample())
	b := append(bytes.Repeat(one, 2), one[:len(one)-1]...)
	got, used, need, err := frames(b)
	if err != nil || len(got) != 2 || used != 2*len(one) || need != len(one) {
		t.Fatalf("%d messages in %d bytes, the next of %d, %v; want 2 in %d, %d", len(got), used, need, err, 2*len(one), len(one))
	}
	for _, m := range got {
		if !proto.Equal(m, sample()) {
			t.Errorf("%v came back as %v", sample(), m)
		}
	}
	if _, err := appendHeader(nil, &pb.Message{Type: pb.MsgSnap.Enum()}); err == nil {
		t.Error("a snapshot was sent")
	}
}

// TestDamagedFrames: an error, whatever is missing, and no more memory than there are bytes.
func TestDamagedFrames(t *testing.T) {
	whole := frame(t, sample())[lengthSize:]
	for n := range whole {
		if m, err := decode(whole[:n]); err == nil {
			t.Errorf("%d of %d bytes were taken for %v", n, len(whole), m)
		}
	}
	for _, b := range [][]byte{append(whole[:len(whole):len(whole)], 0), bytes.Repeat([]byte{0xff}, 100), append(make([]byte, 11), 0xff, 0xff, 0xff, 0xff, 0x0f)} {
		if m, err := decode(b); err == nil {
			t.Errorf("%x was taken for %v", b, m)
		}
	}
	if _, _, _, err := frames([]byte{0xff, 0xff, 0xff, 0xff}); err == nil {
		t.Error("a frame of 4 GiB was waited for")
	}
}
