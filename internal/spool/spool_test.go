package spool

import (
	"bytes"
	"errors"
	"io"
	"os"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// disk is a file in memory that can be told to fail, having done half of its work.
type disk struct {
	data   []byte
	broken bool
	opened int
	closed int
}

func (d *disk) open() (file, error) {
	if d.broken {
		return nil, syscall.ENOSPC
	}
	d.opened++
	return d, nil
}

func (d *disk) WriteAt(p []byte, at int64) (int, error) {
	n := len(p)
	if d.broken {
		n /= 2
	}
	if end := int(at) + n; end > len(d.data) {
		d.data = append(d.data, make([]byte, end-len(d.data))...)
	}
	copy(d.data[at:], p[:n])
	if d.broken {
		return n, syscall.ENOSPC
	}
	return n, nil
}

func (d *disk) ReadAt(p []byte, at int64) (int, error) {
	if at >= int64(len(d.data)) {
		return 0, io.EOF
	}
	n := copy(p, d.data[at:])
	if d.broken {
		return n / 2, syscall.EIO
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (d *disk) Truncate(n int64) error {
	if d.broken {
		return syscall.EIO
	}
	d.data = d.data[:n]
	return nil
}

func (d *disk) Close() error { d.closed++; return nil }

// held counts all memory that a spool has for records, bytes.
func (s *Spool) held() int {
	n := cap(s.spill.w) + cap(s.spill.r)
	for _, b := range s.memory.blocks {
		n += cap(b)
	}
	return n
}

type record struct {
	a, b    uint64
	payload []byte
}

// model is a spool, and what must be in it.
type model struct {
	*Spool
	disk     *disk
	limit    int
	buffer   int
	want     []record
	serial   uint64
	borrowed []byte // what Next returned last
	copied   []byte // of borrowed, when it was returned
	largest  int
}

// add appends a record whose bytes all differ from those of its neighbours.
func (m *model) add(t *rapid.T, size int) {
	m.serial++
	p := bytes.Repeat([]byte{byte(m.serial)}, size)
	err := m.Append(m.serial, ^m.serial, p)
	if err == nil {
		m.want = append(m.want, record{m.serial, ^m.serial, bytes.Clone(p)})
		m.largest = max(m.largest, headSize+size)
	} else if !m.disk.broken || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("append: error %v", err)
	}
	clear(p)
}

func (m *model) take(t *rapid.T) {
	a, b, p, ok, err := m.Next()
	m.borrowed, m.copied = p, bytes.Clone(p)
	switch {
	case err != nil && (!m.disk.broken || !errors.Is(err, syscall.EIO) || ok):
		t.Fatalf("next: ok %v, error %v", ok, err)
	case err != nil:
	case ok != (len(m.want) > 0):
		t.Fatalf("next: ok %v with %d records", ok, len(m.want))
	case ok:
		w := m.want[0]
		m.want = m.want[1:]
		if a != w.a || b != w.b || !bytes.Equal(p, w.payload) || cap(p) != len(p) {
			t.Fatalf("next: %d, %d, %d bytes; want %d, %d, %d", a, b, len(p), w.a, w.b, len(w.payload))
		}
	}
}

func (m *model) check(t *rapid.T) {
	n := int64(0)
	for _, r := range m.want {
		n += int64(len(r.payload))
	}
	if m.Len() != len(m.want) || m.Bytes() != n {
		t.Fatalf("%d records of %d bytes, want %d of %d", m.Len(), m.Bytes(), len(m.want), n)
	}
	if !bytes.Equal(m.borrowed, m.copied) {
		t.Fatal("a borrowed payload has changed before the next call of Next")
	}
	if most := max(m.limit, 0) + 2*m.buffer + m.largest; m.held() > most {
		t.Fatalf("%d bytes of memory, want at most %d", m.held(), most)
	}
	if m.disk.opened > 1 {
		t.Fatalf("%d files", m.disk.opened)
	}
}

// TestAgainstASlice: whatever part of it lies in memory, in the buffers or in the
// file, and whenever that fails, a spool holds what a slice would, in bounded memory.
func TestAgainstASlice(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := &disk{}
		m := &model{disk: d, limit: rapid.IntRange(-1, 300).Draw(t, "limit"), buffer: rapid.IntRange(1, 150).Draw(t, "buffer")}
		m.Spool = newSpool(m.limit, m.buffer, d.open)
		sizes := rapid.OneOf(rapid.IntRange(0, 10), rapid.IntRange(0, 400))
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				for range rapid.IntRange(1, 8).Draw(t, "times") {
					m.add(t, sizes.Draw(t, "size"))
					m.check(t)
				}
			},
			"next": func(t *rapid.T) {
				for range rapid.IntRange(1, 12).Draw(t, "times") {
					m.take(t)
					m.check(t)
				}
			},
			"break or mend": func(*rapid.T) { d.broken = !d.broken },
			"reset": func(t *rapid.T) {
				if rapid.IntRange(0, 5).Draw(t, "really") > 0 {
					t.Skip("so that spools grow")
				}
				m.borrowed, m.copied, m.want = nil, nil, nil
				if err := m.Reset(); err != nil && (!d.broken || !errors.Is(err, syscall.EIO)) {
					t.Fatalf("reset: error %v", err)
				}
			},
			"": m.check,
		})
		d.broken = false
		for len(m.want) > 0 {
			m.take(t)
		}
		m.take(t)
		if m.check(t); len(d.data) != 0 && m.spill.written > 0 {
			t.Fatalf("the file of an empty spool has %d bytes", len(d.data))
		}
		if err := m.Close(); err != nil || d.closed != d.opened {
			t.Fatalf("%d files opened, %d closed, error %v", d.opened, d.closed, err)
		}
	})
}

// TestMemoryFirst: the file is made when memory and the buffer are full, is empty
// once all of it was read, and then memory is used again.
func TestMemoryFirst(t *testing.T) {
	t.Parallel()
	const payload, limit, buffer = 76, 1000, 500 // records of 100 bytes: 10 in memory, 5 in the buffer
	d := &disk{}
	s := newSpool(limit, buffer, d.open)
	defer s.Close()
	for range 3 {
		for i := range uint64(40) {
			if err := s.Append(i, 0, make([]byte, payload)); err != nil {
				t.Fatal(err)
			}
			if want := max(0, (int(i)-10)/5*buffer); len(d.data) != want {
				t.Fatalf("%d bytes in the file with %d records, want %d", len(d.data), i+1, want)
			}
		}
		for i := range uint64(40) {
			if a, _, _, ok, err := s.Next(); a != i || !ok || err != nil {
				t.Fatalf("record %d, ok %v, error %v; want record %d", a, ok, err, i)
			}
		}
		if len(d.data) != 0 {
			t.Fatalf("%d bytes in the file, want 0", len(d.data))
		}
		if _, _, _, ok, err := s.Next(); ok || err != nil {
			t.Fatalf("ok %v, error %v with no records", ok, err)
		}
	}
}

// TestMemoryComesAfterWhatWasRead: what comes once the file is drained goes to
// memory, and behind what is still in the read buffer.
func TestMemoryComesAfterWhatWasRead(t *testing.T) {
	t.Parallel()
	d := &disk{}
	s := newSpool(100, 300, d.open) // records of 100 bytes: one in memory, three in a buffer
	defer s.Close()
	var next, last uint64
	add := func(n int) {
		for range n {
			if err := s.Append(last, 0, make([]byte, 76)); err != nil {
				t.Fatal(err)
			}
			last++
		}
	}
	take := func(n int) {
		for range n {
			if a, _, _, ok, err := s.Next(); a != next || !ok || err != nil {
				t.Fatalf("record %d, ok %v, error %v; want record %d", a, ok, err, next)
			}
			next++
		}
	}
	add(4)
	take(2) // the one in memory, and the first of the buffer
	add(1)
	if s.memory.empty() || s.spill.ahead() == 0 || s.spill.behind() != 0 {
		t.Fatalf("memory empty %v, %d bytes ahead, %d behind; want it in memory, behind what was read",
			s.memory.empty(), s.spill.ahead(), s.spill.behind())
	}
	add(5)
	take(8)
}

// TestALargeRecordsBufferIsLeft as soon as the next record is read from the file.
func TestALargeRecordsBufferIsLeft(t *testing.T) {
	t.Parallel()
	d := &disk{}
	s := newSpool(0, 100, d.open)
	defer s.Close()
	for _, size := range []int{5000, 10, 10, 10, 10} {
		if err := s.Append(1, 2, make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	for _, most := range []int{5000 + headSize + 100, 200} {
		if _, _, _, ok, err := s.Next(); !ok || err != nil || s.held() > most {
			t.Fatalf("ok %v, error %v, %d bytes of memory; want at most %d", ok, err, s.held(), most)
		}
	}
}

func spilled(t *testing.T, create func() (file, error)) *Spool {
	t.Helper()
	s := newSpool(0, bufferSize, create)
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Append(1, 2, make([]byte, 2*bufferSize)); err != nil {
		t.Fatal(err)
	}
	if s.spill.file == nil {
		t.Fatal("the record is in no file")
	}
	return s
}

func TestNoFileIsLeftBehind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := spilled(t, tempFile(dir))
	if _, still := s.spill.file.(named); !still {
		wantFiles(t, dir, 0)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	wantFiles(t, dir, 0)
	err := s.Append(1, 2, nil)
	_, _, _, _, next := s.Next()
	for _, err := range []error{err, next, s.Reset()} {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("closed: error %v, want os.ErrClosed", err)
		}
	}
}

// TestAFileThatHasAName is removed with its spool.
func TestAFileThatHasAName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := spilled(t, func() (file, error) {
		f, err := os.CreateTemp(dir, "")
		return named{f}, err
	})
	wantFiles(t, dir, 1)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wantFiles(t, dir, 0)
}

func wantFiles(t *testing.T, dir string, want int) {
	t.Helper()
	if left, err := os.ReadDir(dir); err != nil || len(left) != want {
		t.Errorf("files %v, error %v; want %d", left, err, want)
	}
}

// TestNoDirectoryForTheFile: the error names it, and nothing is lost.
func TestNoDirectoryForTheFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir() + "/missing"
	s := newSpool(100, 100, tempFile(dir))
	defer s.Close()
	large := bytes.Repeat([]byte{7}, 1000)
	for i := range uint64(2) { // one in memory, one in the buffer
		if err := s.Append(i, 0, make([]byte, 60)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Append(2, 0, large); !errors.Is(err, os.ErrNotExist) || s.Len() != 2 {
		t.Fatalf("%d records, error %v; want 2, os.ErrNotExist", s.Len(), err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(2, 0, large); err != nil {
		t.Fatal(err)
	}
	for i := range uint64(3) {
		if a, _, p, ok, err := s.Next(); a != i || !ok || err != nil || i == 2 && !bytes.Equal(p, large) {
			t.Fatalf("record %d of %d bytes, ok %v, error %v; want record %d", a, len(p), ok, err, i)
		}
	}
}

// TestAFileThatSomeoneElseChanged is an error, again and again, and no panic.
func TestAFileThatSomeoneElseChanged(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*disk){
		"cut short":    func(d *disk) { d.data = d.data[:bufferSize] },
		"emptied":      func(d *disk) { d.data = nil },
		"a long claim": func(d *disk) { le.PutUint64(d.data[16:], 1<<40) },
		"an overflow":  func(d *disk) { le.PutUint64(d.data[16:], 1<<64-1) },
	} {
		d := &disk{}
		s := spilled(t, d.open)
		change(d)
		for range 2 {
			if _, _, _, ok, err := s.Next(); ok || err == nil || errors.Is(err, io.EOF) || s.Len() != 1 {
				t.Errorf("%s: ok %v, error %v, %d records; want an error that is not io.EOF, and the record still there", name, ok, err, s.Len())
			}
		}
	}
}

func TestSteadyUseDoesNotAllocate(t *testing.T) {
	s := New(10 * bufferSize)
	defer s.Close()
	p := make([]byte, 1000)
	if allocs := testing.AllocsPerRun(100, func() {
		for range 50 {
			_ = s.Append(1, 2, p)
		}
		for range 51 { // the last finds nothing, and gives the block back
			_, _, _, _, _ = s.Next()
		}
	}); allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}

// BenchmarkSpool fills a spool with records of 1 KiB and empties it; the bytes are
// those of payload, in and out.
func BenchmarkSpool(b *testing.B) {
	const size, records = 1 << 10, 64 << 10
	for name, limit := range map[string]int{"memory": 2 * size * records, "file": 0} {
		b.Run(name, func(b *testing.B) {
			s := New(limit)
			defer s.Close()
			p := make([]byte, size)
			b.SetBytes(size * records)
			b.ReportAllocs()
			for b.Loop() {
				for i := range uint64(records) {
					if err := s.Append(i, 0, p); err != nil {
						b.Fatal(err)
					}
				}
				for i := range uint64(records) {
					if a, _, _, ok, err := s.Next(); a != i || !ok || err != nil {
						b.Fatalf("record %d, ok %v, error %v; want record %d", a, ok, err, i)
					}
				}
			}
		})
	}
}
