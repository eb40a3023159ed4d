package wire

import (
	"bytes"
	"fmt"
	"testing"
)

// FuzzParse reads every part of arbitrary bytes, as a member of a view of 1 to
// 64 would. Nothing may panic, and nothing outside the packet may matter.
func FuzzParse(f *testing.F) {
	for name := range goldens {
		for _, n := range []uint8{0, 2, 63} {
			f.Add(goldenPacket(f, name), n)
		}
	}
	f.Fuzz(func(t *testing.T, packet []byte, members uint8) {
		n := 1 + int(members)%64
		want := readAll(t, bytes.Clone(packet), n)
		for _, poison := range []byte{0, 1, 0xff} {
			slab := bytes.Repeat([]byte{poison}, len(packet)+1024)
			copy(slab[512:], packet)
			if got := readAll(t, slab[512:512+len(packet)], n); got != want {
				t.Fatalf("read beside the packet:\n%s\n%s", got, want)
			}
		}
	})
}

// readAll decodes b and tells in text what it found.
func readAll(t *testing.T, b []byte, n int) string {
	h, err := Parse(b)
	if err != nil {
		return err.Error()
	}
	var out bytes.Buffer
	fmt.Fprintln(&out, h, Verify(b))
	body := b[HeaderSize : HeaderSize+h.Body]
	frames, rest := framesOf(body)
	fmt.Fprintln(&out, frames, rest)
	stream, ranges, err := ParseNAK(body, n, nil)
	if len(ranges) > MaxRanges || stream >= n {
		t.Fatalf("NAK of stream %d with %d ranges", stream, len(ranges))
	}
	fmt.Fprintln(&out, stream, ranges, err)
	s, err := h.Sections(b, n)
	fmt.Fprintln(&out, err)
	v := make([]uint64, n)
	s.Dep.AddTo(v)
	s.Record.Cut.AddTo(v)
	fmt.Fprintln(&out, v, s.Record.T, s.Record.Next, s.Row)
	if h.Flags&HasRecord != 0 && err == nil && (s.Record.T == 0 || s.Record.Next >= n) {
		t.Fatalf("record %+v in a view of %d", s.Record, n)
	}
	for k := range n {
		if s.Row != nil {
			fmt.Fprintln(&out, s.Row.Rcv(k))
		}
	}
	return out.String()
}
