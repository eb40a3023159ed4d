package frame

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
)

func framed(bodies ...[]byte) []byte {
	var b []byte
	for _, body := range bodies {
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(body))), body...)
	}
	return b
}

func TestReadReusesMemory(t *testing.T) {
	large := bytes.Repeat([]byte("x"), 3*GrowStep)
	r := bytes.NewReader(framed([]byte("hello"), large, nil, []byte("again")))
	var b []byte
	for i, want := range [][]byte{[]byte("hello"), large, nil, []byte("again")} {
		was := cap(b)
		got, err := Read(r, b, len(large))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("message %d: %.20q, %v; want %.20q", i, got, err, want)
		}
		if i >= 2 && cap(got) != was {
			t.Errorf("message %d lies in other memory, though there was room", i)
		}
		b = got
	}
	if _, err := Read(r, b, 10); err != io.EOF {
		t.Errorf("at the end: %v, want EOF", err)
	}
}

func TestReadRefuses(t *testing.T) {
	if _, err := Read(bytes.NewReader(framed(make([]byte, 11))), nil, 10); !errors.Is(err, ErrTooLarge) {
		t.Errorf("11 bytes where 10 may come: %v, want ErrTooLarge", err)
	}
	for _, cut := range []int{1, 4, 7} {
		if _, err := Read(bytes.NewReader(framed([]byte("hello"))[:cut]), nil, 10); err != io.ErrUnexpectedEOF {
			t.Errorf("cut after %d bytes: %v, want ErrUnexpectedEOF", cut, err)
		}
	}
}
