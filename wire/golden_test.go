package wire

import (
	"bufio"
	"bytes"
	"embed"
	"encoding/hex"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"cohort/order"
)

//go:embed testdata/*.hex
var golden embed.FS

// goldenPacket reads the bytes that testdata/name.hex spells out field by field;
// what follows a # is for people.
func goldenPacket(t testing.TB, name string) []byte {
	t.Helper()
	file, err := golden.ReadFile("testdata/" + name + ".hex")
	if err != nil {
		t.Fatal(err)
	}
	var digits strings.Builder
	for lines := bufio.NewScanner(bytes.NewReader(file)); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return b
}

// sealed puts a header before, and a checksum behind, what comes between.
func sealed(h Header, between ...[]byte) []byte {
	b := make([]byte, HeaderSize)
	PutHeader(b, h)
	b = append(b, bytes.Join(between, nil)...)
	b = append(b, make([]byte, SumSize)...)
	Seal(b)
	return b
}

func frame(f Frame, payload string) []byte {
	b := make([]byte, FrameStartSize)
	return append(b[:PutFrame(b, &f, len(payload))], payload...)
}

// goldenFrames are those of testdata/data.hex.
var goldenFrames = []Frame{
	{Kind: 1, First: true, Last: true, Level: order.Causal, Group: 0x01020304, Size: 2, Payload: []byte("hi")},
	{Kind: 2, First: true, Level: order.Total.Safe(), Group: 7, Size: 5, Payload: []byte("abc")},
	{Kind: 2, Last: true, Level: order.Total.Safe(), Group: 7, Size: 2, Payload: []byte("de")},
	{Kind: 2, Last: true, Abort: true, Level: order.FIFO.SafeAll(), Group: 7, Payload: []byte{}},
}

// goldens builds each golden packet with the encoders.
var goldens = map[string]func() []byte{
	"data": func() []byte {
		var body []byte
		for _, f := range goldenFrames {
			body = append(body, frame(f, string(f.Payload))...)
		}
		dep := AppendDeltas(nil, []uint64{0, 5, 5}, []uint64{300, 5, 6})
		record := AppendRecord(nil, 9, 1, []uint64{0, 0, 0}, []uint64{0, 0, 2})
		row := AppendRow(nil, 4, 8, true, []uint64{300, 5, 6})
		h := Header{
			Kind: Data, Cluster: 0xAABBCCDD, View: 0x1122334455667788, Seq: 42, Sender: 2,
			Level: order.Total.SafeAll(), Flags: HasDep | HasRecord | HasRow, Body: len(body),
		}
		return sealed(h, body, dep, record, row)
	},
	"row": func() []byte {
		h := Header{Kind: RowOnly, Cluster: 0xAABBCCDD, View: 0x1122334455667788, Sender: 1, Flags: HasRow | WantRow}
		return sealed(h, AppendRow(nil, 3, 0, false, []uint64{1, 2, 0x0102030405060708}))
	},
	"nak": func() []byte {
		body := AppendNAK(nil, 2, []Range{{From: 7, Count: 1}, {From: 0x0102030405060708, Count: 0x0A0B}})
		return sealed(Header{Kind: NAK, Cluster: 0xAABBCCDD, View: 0x1122334455667788, Body: len(body)}, body)
	},
	"local": func() []byte {
		body := frame(Frame{First: true, Last: true, Level: order.Total}, "not summed")
		record := AppendRecord(nil, 1, 0, []uint64{0, 0}, []uint64{3, 0})
		h := Header{Local: true, Kind: Data, Cluster: 1, View: 2, Seq: 3, Level: order.Total, Flags: HasRecord, Body: len(body)}
		return sealed(h, body, record, make([]byte, 8))
	},
	"padded": func() []byte {
		body := frame(Frame{First: true, Last: true}, "")
		return sealed(Header{Kind: Data, Cluster: 1, View: 2, Seq: 3, Body: len(body)}, body, make([]byte, 8))
	},
}

// TestGolden holds the format still: if a byte moves, it is another version.
func TestGolden(t *testing.T) {
	for name, build := range goldens {
		t.Run(name, func(t *testing.T) {
			want, got := goldenPacket(t, name), build()
			if !bytes.Equal(got, want) {
				t.Fatalf("the encoders write\n%x\nthe frozen format is\n%x", got, want)
			}
			if !Verify(want) {
				t.Error("the checksum does not match")
			}
		})
	}
}

func TestGoldenDataIsUnderstood(t *testing.T) {
	b := goldenPacket(t, "data")
	h, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	want := Header{
		Kind: Data, Cluster: 0xAABBCCDD, View: 0x1122334455667788, Seq: 42, Sender: 2,
		Level: order.Total.SafeAll(), Flags: HasDep | HasRecord | HasRow, Body: 43,
	}
	if h != want {
		t.Errorf("header %+v, want %+v", h, want)
	}
	frames, rest := framesOf(b[HeaderSize : HeaderSize+h.Body])
	if !reflect.DeepEqual(frames, goldenFrames) || rest != 0 {
		t.Errorf("frames %+v and %d bytes, want %+v", frames, rest, goldenFrames)
	}
	s, err := h.Sections(b, 3)
	if err != nil {
		t.Fatal(err)
	}
	dep, cut := make([]uint64, 3), make([]uint64, 3)
	s.Dep.AddTo(dep)
	s.Record.Cut.AddTo(cut)
	got := fmt.Sprint(dep, s.Record.T, s.Record.Next, cut, s.Row.No(), s.Row.Ord(), s.Row.Pause(), s.Row.Rcv(0), s.Row.Rcv(1), s.Row.Rcv(2))
	if want := "[300 0 1] 9 1 [0 0 2] 4 8 true 300 5 6"; got != want {
		t.Errorf("sections %s, want %s", got, want)
	}
}

// TestConstants holds the numbers of docs/WIRE.md.
func TestConstants(t *testing.T) {
	got := fmt.Sprint(Magic, Version, LocalVersion, HeaderSize, SumSize, MaxPacket, Data, RowOnly, NAK, Here, Ring,
		HasDep, HasRecord, HasRow, WantRow, FrameSize, FrameStartSize, MaxRanges, MinSegment(1), MinSegment(3), MinSegment(64), RowSize(3))
	want := "17238 3 4 32 8 65507 1 2 3 9 10 1 2 4 8 8 12 64 225 253 1107 41"
	if got != want {
		t.Errorf("constants\n%s, frozen as\n%s", got, want)
	}
}

// framesOf reads a body up to its end or to what is malformed; rest is the bytes
// from there on.
func framesOf(body []byte) (frames []Frame, rest int) {
	for len(body) > 0 {
		var f Frame
		n := NextFrame(body, &f)
		if n == 0 {
			break
		}
		frames, body = append(frames, f), body[n:]
	}
	return frames, len(body)
}
