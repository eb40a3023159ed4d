package transfer

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/cespare/xxhash/v2"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func state(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

// streamOf returns what Send writes for a state.
func streamOf(t testing.TB, r io.Reader) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := Send(&b, r); err != nil && !errors.Is(err, ErrDonor) {
		t.Fatal(err)
	}
	return b.Bytes()
}

// reseal puts right the checksums of all whole records in a stream, so that what
// lies behind them is reached.
func reseal(b []byte) []byte {
	b = bytes.Clone(b)
	sum := xxhash.New()
	for at := 0; at+headSize <= len(b); {
		end := at + headSize + int(le.Uint32(b[at+12:]))
		if end > len(b) {
			break
		}
		_, _ = sum.Write(b[at+8 : end])
		le.PutUint64(b[at:], sum.Sum64())
		at = end
	}
	return b
}

func TestAStateArrivesWhole(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, ChunkSize - 1, ChunkSize, ChunkSize + 1, 3*ChunkSize + 7} {
		want := state(n)
		var conn bytes.Buffer
		sent, err := Send(&conn, iotest.DataErrReader(iotest.HalfReader(bytes.NewReader(want))))
		if err != nil || sent != int64(n) {
			t.Fatalf("sent %d bytes, error %v; want %d", sent, err, n)
		}
		conn.WriteString("after")
		var last int64
		got, err := io.ReadAll(NewReader(iotest.HalfReader(&conn), func(b int64) {
			if b <= last || b > int64(n) {
				t.Errorf("progress from %d to %d of %d bytes", last, b, n)
			}
			last = b
		}))
		if err != nil || !bytes.Equal(got, want) || last != int64(n) {
			t.Errorf("%d bytes came, progress %d, error %v; want %d", len(got), last, err, n)
		}
		if conn.String() != "after" {
			t.Errorf("state of %d bytes: %d bytes are left on the connection, want those that follow the stream", n, conn.Len())
		}
	}
}

func TestReaderIsAReader(t *testing.T) {
	t.Parallel()
	want := state(ChunkSize + 100)
	if err := iotest.TestReader(NewReader(bytes.NewReader(streamOf(t, bytes.NewReader(want))), nil), want); err != nil {
		t.Error(err)
	}
}

// TestABreakIsNeverAnEnd: the stream is cut before each of its bytes.
func TestABreakIsNeverAnEnd(t *testing.T) {
	t.Parallel()
	whole := streamOf(t, strings.NewReader("the state"))
	for cut := range whole {
		r := NewReader(bytes.NewReader(whole[:cut]), nil)
		_, err := io.ReadAll(r)
		if !errors.Is(err, ErrBroken) || !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			t.Errorf("cut after %d bytes: error %v, want ErrBroken", cut, err)
		}
		if _, again := r.Read(make([]byte, 1)); again != err {
			t.Errorf("cut after %d bytes: error %v, then %v", cut, err, again)
		}
	}
}

// TestDamageIsFound: each byte of the stream is changed. A length that grew but
// suits its kind shows as a stream that ends too early.
func TestDamageIsFound(t *testing.T) {
	t.Parallel()
	const want = "the state"
	whole := streamOf(t, strings.NewReader(want))
	for i := range whole {
		bad := bytes.Clone(whole)
		bad[i] ^= 0x11
		got, err := io.ReadAll(NewReader(bytes.NewReader(bad), nil))
		grew := i == 12 || i == 13 || i == 14
		if !errors.Is(err, ErrCorrupt) && !(grew && errors.Is(err, ErrBroken)) {
			t.Errorf("byte %d changed: error %v, want ErrCorrupt", i, err)
		}
		if !strings.HasPrefix(want, string(got)) {
			t.Errorf("byte %d changed: %q was handed on", i, got)
		}
	}
}

// TestChunksOutOfPlaceAreFound at the first of them, though each is as it was sent.
func TestChunksOutOfPlaceAreFound(t *testing.T) {
	t.Parallel()
	const size = headSize + ChunkSize
	whole := streamOf(t, bytes.NewReader(state(2*ChunkSize)))
	one, two, end := whole[:size], whole[size:2*size], whole[2*size:]
	for name, c := range map[string]struct {
		parts [][]byte
		good  int64
	}{
		"first lost": {[][]byte{two, end}, 0}, "last lost": {[][]byte{one, end}, 1},
		"twice": {[][]byte{one, one, two, end}, 1}, "swapped": {[][]byte{two, one, end}, 0},
	} {
		n, err := io.Copy(io.Discard, NewReader(bytes.NewReader(bytes.Join(c.parts, nil)), nil))
		if !errors.Is(err, ErrCorrupt) || n != c.good*ChunkSize {
			t.Errorf("%s: %d bytes, error %v; want %d, ErrCorrupt", name, n, err, c.good*ChunkSize)
		}
	}
}

// TestRecordsThatNoDonorSends have good checksums, and are damage all the same.
func TestRecordsThatNoDonorSends(t *testing.T) {
	t.Parallel()
	record := func(kind, length uint32, body int) []byte {
		b := le.AppendUint32(le.AppendUint32(make([]byte, 8), kind), length)
		return reseal(append(b, make([]byte, body)...))
	}
	for name, b := range map[string][]byte{
		"kind 0":           record(0, 1, 1),
		"unknown kind":     record(kindFailure+1, 1, 1),
		"empty chunk":      record(kindChunk, 0, 0),
		"large chunk":      record(kindChunk, ChunkSize+1, ChunkSize+1),
		"4 GiB claimed":    record(kindChunk, 1<<32-1, 0),
		"long reason":      record(kindFailure, MaxReason+1, MaxReason+1),
		"short end":        record(kindEnd, endSize-1, endSize-1),
		"end with a wrong": reseal(append(record(kindChunk, 3, 3), record(kindEnd, endSize, endSize)...)),
	} {
		if _, err := io.ReadAll(NewReader(bytes.NewReader(b), nil)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: error %v, want ErrCorrupt", name, err)
		}
	}
}

// TestTheDonorsFailureIsTold, even one that looks like the end of a short chunk.
func TestTheDonorsFailureIsTold(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 3*MaxReason)
	for _, c := range []struct {
		cause error
		told  string
	}{
		{errors.New("disk on fire"), `"disk on fire"`},
		{io.ErrUnexpectedEOF, `"unexpected EOF"`},
		{errors.New(""), `""`},
		{errors.New("a\x1b[2Jb"), `"a\x1b[2Jb"`},
		{errors.New(long), `"` + long[:MaxReason] + `"`},
		{errors.New("x" + strings.Repeat("é", MaxReason)), `"x` + strings.Repeat("é", MaxReason/2-1) + `�"`},
	} {
		var conn bytes.Buffer
		sent, err := Send(&conn, io.MultiReader(bytes.NewReader(state(ChunkSize+5)), iotest.ErrReader(c.cause)))
		if !errors.Is(err, ErrDonor) || !errors.Is(err, c.cause) || sent != ChunkSize {
			t.Errorf("Send: %d bytes, error %v; want %d, %v", sent, err, ChunkSize, c.cause)
		}
		r := NewReader(&conn, nil)
		n, err := io.Copy(io.Discard, r)
		if !errors.Is(err, ErrDonor) || !strings.HasSuffix(err.Error(), "reason "+c.told) || n != ChunkSize {
			t.Errorf("Read: %d bytes, error %v; want %d, %s", n, err, ChunkSize, c.told)
		}
		if _, again := r.Read(make([]byte, 1)); again != err {
			t.Errorf("error %v, then %v", err, again)
		}
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

func TestAReaderWithoutProgressIsAFailure(t *testing.T) {
	t.Parallel()
	if _, err := Send(io.Discard, stuck{}); !errors.Is(err, io.ErrNoProgress) || !errors.Is(err, ErrDonor) {
		t.Errorf("error %v, want io.ErrNoProgress", err)
	}
}

type short struct{}

func (short) Write(p []byte) (int, error) { return len(p) - 1, nil }

func TestSendSaysThatTheConnectionBroke(t *testing.T) {
	t.Parallel()
	a, b := net.Pipe()
	_ = a.Close()
	_ = b.Close()
	disk := errors.New("disk on fire")
	for _, c := range []struct {
		conn  io.Writer
		state io.Reader
		want  []error
	}{
		{a, strings.NewReader("x"), []error{ErrBroken, io.ErrClosedPipe}},
		{short{}, strings.NewReader("x"), []error{ErrBroken, io.ErrShortWrite}},
		{a, iotest.ErrReader(disk), []error{ErrDonor, disk, ErrBroken, io.ErrClosedPipe}},
	} {
		n, err := Send(c.conn, c.state)
		for _, want := range c.want {
			if n != 0 || !errors.Is(err, want) {
				t.Errorf("%d bytes, error %v; want 0, %v", n, err, want)
			}
		}
	}
}

// TestAStallIsNoticed on both sides of a pipe at whose other end nobody acts.
func TestAStallIsNoticed(t *testing.T) {
	t.Parallel()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	idle := LimitStall(a, 10*time.Millisecond)
	_, received := io.ReadAll(NewReader(idle, nil))
	_, sent := Send(idle, strings.NewReader("x"))
	for side, err := range map[string]error{"receiver": received, "donor": sent} {
		for _, want := range []error{ErrBroken, ErrStalled, os.ErrDeadlineExceeded} {
			if !errors.Is(err, want) {
				t.Errorf("%s: error %v, want %v", side, err, want)
			}
		}
	}
}

// TestTheStallLimitStartsOverWithEachCall: whoever was still for longer than the
// limit between two calls is not late.
func TestTheStallLimitStartsOverWithEachCall(t *testing.T) {
	t.Parallel()
	a, b := tcpPair(t)
	in := LimitStall(b, time.Hour).(stallLimited)
	_ = b.SetDeadline(time.Now().Add(-time.Second))
	if _, err := a.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, err := in.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("read %d bytes, error %v", n, err)
	}
	if n, err := in.Write([]byte("x")); n != 1 || err != nil {
		t.Errorf("wrote %d bytes, error %v", n, err)
	}
}

// TestOneBufferAStream: a state 64 times as large costs no more allocations.
func TestOneBufferAStream(t *testing.T) {
	run := func(chunks int) float64 {
		b := state(chunks * ChunkSize)
		stream := streamOf(t, bytes.NewReader(b))
		into := make([]byte, 4096)
		return testing.AllocsPerRun(3, func() {
			_, _ = Send(io.Discard, bytes.NewReader(b))
			r := NewReader(bytes.NewReader(stream), nil)
			for err := error(nil); err == nil; {
				_, err = r.Read(into)
			}
		})
	}
	if one, many := run(1), run(64); many != one {
		t.Errorf("%v allocations for 64 chunks, %v for one", many, one)
	}
}

// FuzzReader: no input makes the reader panic, or hand on more than came, or give
// an error of no kind; and what it takes for a whole state is one.
func FuzzReader(f *testing.F) {
	failure := streamOf(f, iotest.ErrReader(errors.New("disk on fire")))
	for _, b := range [][]byte{nil, streamOf(f, strings.NewReader("")), streamOf(f, strings.NewReader("the state")), failure} {
		f.Add(b, false)
		f.Add(b, true)
	}
	f.Fuzz(func(t *testing.T, in []byte, sealed bool) {
		if sealed {
			in = reseal(in)
		}
		r := NewReader(bytes.NewReader(in), nil)
		got, err := io.ReadAll(r)
		if len(got) > len(in) {
			t.Fatalf("%d bytes out of %d", len(got), len(in))
		}
		if _, again := r.Read(make([]byte, 1)); again != err && !(err == nil && again == io.EOF) {
			t.Fatalf("error %v, then %v", err, again)
		}
		if err != nil {
			kinds := 0
			for _, kind := range []error{ErrBroken, ErrDonor, ErrCorrupt} {
				if errors.Is(err, kind) {
					kinds++
				}
			}
			if kinds != 1 || errors.Is(err, io.EOF) {
				t.Fatalf("error %v is of %d kinds", err, kinds)
			}
			return
		}
		again, err := io.ReadAll(NewReader(bytes.NewReader(streamOf(t, bytes.NewReader(got))), nil))
		if err != nil || !bytes.Equal(again, got) {
			t.Fatalf("sent again: %d bytes of %d, error %v", len(again), len(got), err)
		}
	})
}

func tcpPair(t testing.TB) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return a, b
}

// discard hides the ReadFrom of io.Discard, which has a buffer of 8 KiB.
type discard struct{ io.Writer }

// BenchmarkLoopback sends 64 MiB over TCP; "plain" copies it without records.
func BenchmarkLoopback(b *testing.B) {
	body := state(64 << 20)
	buf := make([]byte, ChunkSize)
	run := func(b *testing.B, send func(net.Conn) error, receive func(net.Conn) error) {
		donor, joiner := tcpPair(b)
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			sent := make(chan error, 1)
			go func() { sent <- send(donor) }()
			if err := receive(joiner); err != nil {
				b.Fatal(err)
			}
			if err := <-sent; err != nil {
				b.Fatal(err)
			}
		}
	}
	records := func(limit func(net.Conn) io.ReadWriter) func(*testing.B) {
		return func(b *testing.B) {
			run(b, func(c net.Conn) error {
				_, err := Send(limit(c), bytes.NewReader(body))
				return err
			}, func(c net.Conn) error {
				_, err := io.CopyBuffer(discard{io.Discard}, NewReader(limit(c), nil), buf)
				return err
			})
		}
	}
	b.Run("records", records(func(c net.Conn) io.ReadWriter { return c }))
	b.Run("stall limit", records(func(c net.Conn) io.ReadWriter { return LimitStall(c, time.Minute) }))
	b.Run("plain", func(b *testing.B) {
		run(b, func(c net.Conn) error {
			for at := 0; at < len(body); at += ChunkSize {
				if _, err := c.Write(body[at : at+ChunkSize]); err != nil {
					return err
				}
			}
			return nil
		}, func(c net.Conn) error {
			for range len(body) / ChunkSize {
				if _, err := io.ReadFull(c, buf); err != nil {
					return err
				}
			}
			return nil
		})
	})
}
