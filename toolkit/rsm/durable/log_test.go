package durable

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"cohort/toolkit/rsm"

	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

func init() { wal.SegmentSizeBytes = 1 << 16 } // many small files are quick, and are cut

func open(t testing.TB, dir string) *Log {
	t.Helper()
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // closed before, by those who care
	return l
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// reopen is what a process that comes after finds.
func reopen(t testing.TB, l *Log) rsm.Stored {
	t.Helper()
	ok(t, l.Close())
	again := open(t, l.dir)
	defer again.Close()
	return again.Stored()
}

func records(from, to int) (list [][]byte) {
	for k := from; k < to; k++ {
		list = append(list, fmt.Appendf(nil, "record %d %s", k, strings.Repeat(".", k*7%100)))
	}
	return list
}

// filled is a log with a state and 100 records, closed.
func filled(t testing.TB) (dir string) {
	l := open(t, t.TempDir())
	ok(t, l.Save(3, 40, strings.NewReader("a state")))
	for k := range 10 {
		ok(t, l.Append(records(10*k, 10*k+10)))
	}
	ok(t, l.Close())
	return l.dir
}

func TestStored(t *testing.T) {
	l := open(t, t.TempDir())
	if got := l.Stored(); !reflect.DeepEqual(got, rsm.Stored{}) {
		t.Errorf("an empty folder has %+v", got)
	}
	ok(t, l.Save(0, 0, strings.NewReader("empty")))
	ok(t, l.Promise(1))
	if got, want := reopen(t, l), (rsm.Stored{Promise: 1, State: []byte("empty")}); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	l = open(t, l.dir)
	ok(t, l.Save(1, 7, strings.NewReader("seven")))
	ok(t, l.Append(records(0, 3)))
	ok(t, l.Append(records(3, 4)))
	ok(t, l.Promise(5))
	want := rsm.Stored{Promise: 5, Epoch: 1, Position: 7, State: []byte("seven"), Records: records(0, 4)}
	if got := reopen(t, l); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	l = open(t, l.dir)
	ok(t, l.Append(records(4, 5)))
	want.Records = records(0, 5)
	if got := reopen(t, l); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if list, err := os.ReadDir(l.dir); err != nil || len(list) != 3 {
		t.Errorf("%v, %v: want one state, one log and the lock", list, err)
	}
}

// TestOpenMakesFolders, those above too.
func TestOpenMakesFolders(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "a", "b")+"/")
	ok(t, l.Save(1, 7, strings.NewReader("state")))
	if s := reopen(t, l); s.Position != 7 {
		t.Errorf("position %d, want 7", s.Position)
	}
}

// TestFoldersOutliveAKill: a process is killed before it has synced a folder that it has made.
// The next one does that, though the folder is there.
func TestFoldersOutliveAKill(t *testing.T) {
	killed := errors.New("killed")
	for at := range 4 { // syncs before the kill
		base := t.TempDir()
		a, b, c := filepath.Join(base, "a"), filepath.Join(base, "a", "b"), filepath.Join(base, "a", "b", "c")
		kept := map[string]bool{} // whatever becomes of the machine
		left := at
		sync := func(folder string) error {
			if left == 0 {
				return killed
			}
			left--
			for _, dir := range []string{a, b, c} {
				if _, err := os.Stat(dir); err == nil && filepath.Dir(dir) == folder {
					kept[dir] = true
				}
			}
			return nil
		}
		if err := makeFolder(c+"/", sync); at < 3 && !errors.Is(err, killed) {
			t.Fatalf("%v, want it to be killed after %d syncs", err, at)
		}
		left = -1
		if err := makeFolder(c+"/", sync); err != nil || !kept[a] || !kept[b] || !kept[c] {
			t.Errorf("killed after %d syncs: %v, only %v outlive a crash", at, err, kept)
		}
	}
}

// TestFolderInAnothers: who may not read the folder above can use one that is there.
func TestFolderInAnothers(t *testing.T) {
	denied := func(string) error { return os.ErrPermission }
	if err := makeFolder(t.TempDir(), denied); err != nil {
		t.Error(err)
	}
	if err := makeFolder(filepath.Join(t.TempDir(), "new"), denied); !errors.Is(err, os.ErrPermission) {
		t.Errorf("%v, want ErrPermission: it may not outlive a crash", err)
	}
}

// TestOneProcess: who opens a storage that is open gets an error.
func TestOneProcess(t *testing.T) {
	l := open(t, t.TempDir())
	ok(t, l.Save(1, 0, strings.NewReader("")))
	if _, err := Open(l.dir); err == nil {
		t.Error("opened twice")
	}
	ok(t, l.Close())
	if err := l.Append(records(0, 1)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("%v, want ErrClosed", err)
	}
}

// TestWrittenHasNoState: a log that was written to does not show less than it has.
func TestWrittenHasNoState(t *testing.T) {
	l := open(t, filled(t))
	ok(t, l.Append(records(100, 101)))
	if got, want := l.Stored(), (rsm.Stored{Promise: 3, Epoch: 3, Position: 40}); !reflect.DeepEqual(got, want) {
		t.Errorf("%d bytes of state and %d records of epoch %d, want none of 3", len(got.State), len(got.Records), got.Epoch)
	}
}

// segment is the file of the log, and how many bytes of it are used.
func segment(t testing.TB, dir string) (path string, used int) {
	list, err := filepath.Glob(filepath.Join(dir, "*.log", "*.wal"))
	if err != nil || len(list) != 1 {
		t.Fatalf("%v, %v: want one file", list, err)
	}
	b, err := os.ReadFile(list[0])
	ok(t, err)
	return list[0], len(bytes.TrimRight(b, "\x00"))
}

// TestTornTail: a log whose last write was torn, anywhere, has what was written before,
// and can be written on.
func TestTornTail(t *testing.T) {
	whole := records(0, 100)
	for _, cut := range []int{1, 2, 3, 7, 20, 100, 1000} {
		for _, how := range []string{"cut", "zeroed"} {
			dir := filled(t)
			path, used := segment(t, dir)
			if how == "cut" {
				ok(t, os.Truncate(path, int64(used-cut)))
			} else { // of sectors of 512 bytes the last did not come to the disk
				from := (used - cut) / 512 * 512
				f, err := os.OpenFile(path, os.O_WRONLY, 0)
				ok(t, err)
				_, err = f.WriteAt(make([]byte, used-from), int64(from))
				ok(t, err)
				ok(t, f.Close())
			}
			l, err := Open(dir)
			if err != nil {
				t.Errorf("%d bytes %s: %v", cut, how, err)
				continue
			}
			got := l.Stored().Records
			if len(got) >= 100 || len(got) < 50 || !reflect.DeepEqual(got, whole[:len(got)]) {
				t.Errorf("%d bytes %s: %d records, want some of 100, the first ones", cut, how, len(got))
			}
			ok(t, l.Append(records(100, 101)))
			if again := reopen(t, l); len(again.Records) != len(got)+1 {
				t.Errorf("%d bytes %s: %d records after one more, want %d", cut, how, len(again.Records), len(got)+1)
			}
		}
	}
}

// TestTornRecordThatHoldsALog: a torn write is dropped, whatever its records hold.
func TestTornRecordThatHoldsALog(t *testing.T) {
	entry, err := proto.Marshal(&raftpb.Entry{Index: new(uint64(7)), Term: new(uint64(1 << 31)), Data: []byte("y")})
	ok(t, err)
	rec, err := proto.Marshal(&walpb.Record{Type: new(int64(wal.EntryType)), Crc: new(uint32(0)), Data: entry})
	ok(t, err)
	later := append(binary.LittleEndian.AppendUint64(nil, uint64(len(rec))), rec...)
	later = append(later, make([]byte, 9-len(later)%8)...) // so that copies of it lie at all places
	command := bytes.Repeat(later, 100)
	for _, count := range []int{1, 2} {
		l := open(t, t.TempDir())
		ok(t, l.Save(1, 0, strings.NewReader("state")))
		ok(t, l.Append([][]byte{[]byte("acknowledged")}))
		ok(t, l.Append([][]byte{command, command}[:count]))
		ok(t, l.Close())
		path, used := segment(t, l.dir)
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		ok(t, err)
		at := (used - count*len(command)*3/4) &^ 511 // some of the first record
		_, err = f.WriteAt(make([]byte, 512), int64(at))
		ok(t, err)
		ok(t, f.Close())
		if s := open(t, l.dir).Stored(); len(s.Records) != 1 {
			t.Errorf("%d records, want 1", len(s.Records))
		}
	}
}

// TestDamage: what is damaged in its middle is not taken for torn, and is found by name.
func TestDamage(t *testing.T) {
	flip := func(path string, at int) {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		ok(t, err)
		defer f.Close()
		var b [1]byte
		_, err = f.ReadAt(b[:], int64(at))
		ok(t, err)
		b[0] ^= 0x10
		_, err = f.WriteAt(b[:], int64(at))
		ok(t, err)
	}
	for at := range 48 { // a record of the middle: its length, sum and data
		dir := filled(t)
		path, used := segment(t, dir)
		flip(path, used/2/8*8+at)
		l, err := Open(dir)
		if err == nil {
			if got := l.Stored().Records; !reflect.DeepEqual(got, records(0, 100)) { // else it was padding
				t.Errorf("byte %d of %d: %d records and no error", at, used, len(got))
			}
			ok(t, l.Close())
		} else if !strings.Contains(err.Error(), filepath.Base(path)) || !strings.Contains(err.Error(), "position") {
			t.Errorf("byte %d of %d: %v; want an error with the file and the position", at, used, err)
		}
	}
	dir := filled(t)
	list, err := filepath.Glob(filepath.Join(dir, "*.state"))
	ok(t, err)
	flip(list[0], stateHead+2)
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), filepath.Base(list[0])) {
		t.Errorf("%v; want an error with the file", err)
	}
}

// TestManyFiles: a log that has grown over several files is read as one.
func TestManyFiles(t *testing.T) {
	l := open(t, t.TempDir())
	ok(t, l.Save(1, 0, strings.NewReader("")))
	big := bytes.Repeat([]byte{1}, 20_000)
	for range 10 {
		ok(t, l.Append([][]byte{big, big}))
	}
	s := reopen(t, l)
	if len(s.Records) != 20 || !bytes.Equal(s.Records[19], big) {
		t.Errorf("%d records, want 20", len(s.Records))
	}
	list, err := filepath.Glob(filepath.Join(l.dir, "*.log", "*.wal"))
	ok(t, err)
	if len(list) < 3 {
		t.Fatalf("%v: want several files", list)
	}
	ok(t, os.Truncate(list[1], 30_000))
	if _, err := Open(l.dir); err == nil || !strings.Contains(err.Error(), filepath.Base(list[1])) {
		t.Errorf("%v: want an error with the file that was cut", err)
	}
}

// TestSaveIsAllOrNothing: a state of which a crash left a part does not count.
func TestSaveIsAllOrNothing(t *testing.T) {
	dir := filled(t)
	ok(t, os.MkdirAll(filepath.Join(dir, fmt.Sprintf("%016x.log", 2)), 0o700))
	ok(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%016x.state.tmp", 2)), []byte("half"), 0o600))
	l := open(t, dir)
	if s := l.Stored(); s.Position != 40 || len(s.Records) != 100 {
		t.Errorf("position %d and %d records, want 40 and 100", s.Position, len(s.Records))
	}
	ok(t, l.Save(4, 140, strings.NewReader("next")))
	if s := reopen(t, l); s.Position != 140 || len(s.Records) != 0 {
		t.Errorf("position %d and %d records, want 140 and none", s.Position, len(s.Records))
	}
}

func FuzzState(f *testing.F) {
	path := filepath.Join(f.TempDir(), "s")
	if err := writeState(path, rsm.Stored{Epoch: 1}, strings.NewReader("state")); err != nil {
		f.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:20])
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "s")
		ok(t, os.WriteFile(path, b, 0o600))
		if s, err := readState(path); err == nil && len(s.State) != len(b)-stateHead-stateSum {
			t.Errorf("a state of %d bytes from %d", len(s.State), len(b))
		}
	})
}

// BenchmarkAppend is records of 100 B, so many per fdatasync.
func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			l := open(b, b.TempDir())
			ok(b, l.Save(1, 0, strings.NewReader("")))
			list := make([][]byte, n)
			for i := range list {
				list[i] = make([]byte, 100)
			}
			for b.Loop() {
				ok(b, l.Append(list))
			}
		})
	}
}
