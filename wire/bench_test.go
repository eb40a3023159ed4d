package wire

import (
	"testing"

	"cohort/order"
)

const benchMembers = 5

// fullPacket writes a packet of 20 frames of 64 bytes with every section.
func fullPacket(b []byte, old, now []uint64) []byte {
	pos := HeaderSize
	for range 20 {
		pos += PutFrame(b[pos:], &Frame{First: true, Last: true, Level: order.Total, Group: 7}, 64) + 64
	}
	h := Header{Kind: Data, Cluster: 1, View: 2, Seq: 3, Level: order.Total, Flags: HasDep | HasRecord | HasRow, Body: pos - HeaderSize}
	sec := AppendDeltas(b[:pos], old, now)
	sec = AppendRecord(sec, 4, 1, old, now)
	sec = AppendRow(sec, 5, 6, false, now)
	b = b[:len(sec)+SumSize]
	PutHeader(b, h)
	Seal(b)
	return b
}

// readPacket reads all of it and returns the number of frames.
func readPacket(b []byte, dep, cut []uint64) (frames int) {
	h, err := Parse(b)
	if err != nil || !Verify(b) {
		return 0
	}
	s, err := h.Sections(b, benchMembers)
	if err != nil {
		return 0
	}
	s.Dep.AddTo(dep)
	s.Record.Cut.AddTo(cut)
	var f Frame
	for body := b[HeaderSize : HeaderSize+h.Body]; len(body) > 0; frames++ {
		n := NextFrame(body, &f)
		if n == 0 {
			return 0
		}
		body = body[n:]
	}
	return frames
}

func TestNothingAllocates(t *testing.T) {
	buf := make([]byte, 2048)
	old, now := make([]uint64, benchMembers), []uint64{1, 200, 0, 40000, 5}
	dep, cut := make([]uint64, benchMembers), make([]uint64, benchMembers)
	nak, ranges := make([]byte, 0, NAKSize), make([]Range, 0, MaxRanges)
	asked := []Range{{1, 2}, {9, 1}}
	if allocs := testing.AllocsPerRun(100, func() {
		if frames := readPacket(fullPacket(buf, old, now), dep, cut); frames != 20 {
			t.Fatalf("%d frames, want 20", frames)
		}
		if _, got, err := ParseNAK(AppendNAK(nak, 3, asked), benchMembers, ranges); err != nil || len(got) != 2 {
			t.Fatalf("%v, %v", got, err)
		}
	}); allocs != 0 {
		t.Errorf("%v allocations per packet, want 0", allocs)
	}
}

func BenchmarkEncode(b *testing.B) {
	buf := make([]byte, 2048)
	old, now := make([]uint64, benchMembers), []uint64{1, 200, 0, 40000, 5}
	b.ReportAllocs()
	for b.Loop() {
		b.SetBytes(int64(len(fullPacket(buf, old, now))))
	}
}

func BenchmarkParse(b *testing.B) {
	packet := fullPacket(make([]byte, 2048), make([]uint64, benchMembers), []uint64{1, 200, 0, 40000, 5})
	dep, cut := make([]uint64, benchMembers), make([]uint64, benchMembers)
	b.SetBytes(int64(len(packet)))
	b.ReportAllocs()
	for b.Loop() {
		if readPacket(packet, dep, cut) != 20 {
			b.Fatal("the packet was not understood")
		}
	}
}
