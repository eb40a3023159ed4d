package durable

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"cohort/toolkit/rsm"
)

// A file "N.state" is stateHead bytes: magic, promise, epoch and position, 8 each, little
// endian; the state; and the CRC-32C of all that, 4 bytes. The folder "N.log" belongs to
// it. The pair of the highest N whose state is there counts.
const (
	stateMagic = 0x3130_6d73_722e_7663 // "cv.rsm01"
	stateHead  = 4 * 8
	stateSum   = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (l *Log) statePath(num uint64) string {
	return filepath.Join(l.dir, fmt.Sprintf("%016x.state", num))
}
func (l *Log) logPath(num uint64) string { return filepath.Join(l.dir, fmt.Sprintf("%016x.log", num)) }

// makeFolder is os.MkdirAll, and has the folder survive a crash of the machine, also one that
// is there: a process that was killed before its own sync may have made it.
func makeFolder(dir string, sync func(folder string) error) error {
	above := filepath.Dir(filepath.Clean(dir))
	_, err := os.Stat(dir)
	if err == nil {
		if err = sync(above); errors.Is(err, os.ErrPermission) { // it is in another's
			return nil
		}
		return err
	}
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := makeFolder(above, sync); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return sync(above)
}

// newest returns the highest number of a state; 0 if there is none.
func newest(dir string) (num uint64, err error) {
	list, err := os.ReadDir(dir)
	for _, e := range list {
		if name, ok := strings.CutSuffix(e.Name(), ".state"); ok {
			if k, err := strconv.ParseUint(name, 16, 64); err == nil {
				num = max(num, k)
			}
		}
	}
	return num, err
}

// removeOthers removes what is not of the pair that counts.
func (l *Log) removeOthers() error {
	list, err := os.ReadDir(l.dir)
	for _, e := range list {
		path := filepath.Join(l.dir, e.Name())
		ours := strings.HasSuffix(path, ".state") || strings.HasSuffix(path, ".log") || strings.HasSuffix(path, ".tmp")
		if ours && path != l.statePath(l.num) && path != l.logPath(l.num) {
			err = errors.Join(err, os.RemoveAll(path))
		}
	}
	return err
}

// readState reads a state; an error names what is wrong with the file.
func readState(path string) (s rsm.Stored, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return s, err
	}
	name := filepath.Base(path)
	if len(b) < stateHead+stateSum {
		return s, fmt.Errorf("%s: %d bytes, want at least %d", name, len(b), stateHead+stateSum)
	}
	if magic := binary.LittleEndian.Uint64(b); magic != stateMagic {
		return s, fmt.Errorf("%s: it begins with %x, want %x", name, magic, uint64(stateMagic))
	}
	end := len(b) - stateSum
	if sum, want := crc32.Checksum(b[:end], castagnoli), binary.LittleEndian.Uint32(b[end:]); sum != want {
		return s, fmt.Errorf("%s: the checksum of bytes 0 to %d is %08x, want %08x", name, end, sum, want)
	}
	s.Promise = binary.LittleEndian.Uint64(b[8:])
	s.Epoch = binary.LittleEndian.Uint64(b[16:])
	s.Position = binary.LittleEndian.Uint64(b[24:])
	s.State = b[stateHead:end:end]
	return s, nil
}

// writeState writes a state; it is there, under its name, once all of it is on the disk.
func writeState(path string, s rsm.Stored, r io.Reader) (err error) {
	f, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	sum := crc32.New(castagnoli)
	w := bufio.NewWriterSize(f, 1<<20)
	both := io.MultiWriter(w, sum)
	var head []byte
	for _, k := range []uint64{stateMagic, s.Promise, s.Epoch, s.Position} {
		head = binary.LittleEndian.AppendUint64(head, k)
	}
	if _, err := both.Write(head); err != nil {
		return err
	}
	if _, err := io.Copy(both, r); err != nil {
		return err
	}
	if _, err := w.Write(binary.LittleEndian.AppendUint32(nil, sum.Sum32())); err != nil {
		return err
	}
	if err := errors.Join(w.Flush(), f.Sync()); err != nil {
		return err
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}
