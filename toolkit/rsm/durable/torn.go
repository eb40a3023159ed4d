package durable

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// examine looks at a log that cannot be read to its end. It returns nil if the last write
// was torn: what is left of it may be dropped, and has been acknowledged by nobody.
// Else the error says where the damage is. A length that is damaged looks torn too, and
// etcd's repair would drop all that follows. So what follows is searched: a later write was
// begun when that one was on the disk, and is the proof.
func examine(dir string) error {
	list, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil {
		return err
	}
	slices.Sort(list)
	last := uint64(0)
	for i, path := range list {
		offset, batch, err := readable(path)
		switch last = max(last, batch); {
		case err == nil:
		case !errors.Is(err, io.ErrUnexpectedEOF) || i < len(list)-1:
			return fmt.Errorf("file '%s' is damaged at position: %d", filepath.Base(path), offset)
		default:
			return follows(path, offset, last)
		}
	}
	return nil
}

// follows finds a write after the one that is torn, which is of the last readable one or
// of the next. What records hold may look like writes, and is passed over as long as it is
// known where they end.
func follows(path string, offset int64, last uint64) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	known := true
	for at := offset; at+8 <= int64(len(b)); {
		if k := batchAt(b[at:]); k > last+1 && k < last+1<<32 {
			return fmt.Errorf("file '%s' is damaged at position: %d, for at %d there is a later write", filepath.Base(path), offset, at)
		}
		n := int64(0)
		if known {
			n = frameAt(b[at:])
			known = n > 0
		}
		at += max(n, 8)
	}
	return nil
}

// readable returns up to where a file can be read, bytes, the last write there, and why
// not further.
func readable(path string) (offset int64, batch uint64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	d := wal.NewDecoder(fileutil.NewFileReader(f))
	var rec walpb.Record
	for {
		if err := d.Decode(&rec); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return d.LastOffset(), batch, err
		}
		switch t := rec.GetType(); {
		case t == wal.CrcType:
			d.UpdateCRC(rec.GetCrc())
		case t < wal.MetadataType || t > wal.SnapshotType:
			return d.LastOffset(), batch, fmt.Errorf("a block of type %d", t)
		}
		batch = max(batch, batchOf(&rec))
	}
}

// batchAt returns the number of the write that a frame at the beginning of b is of, if
// there is one: its length, 7 bytes, and padding; a record. Frames begin at multiples of 8.
func batchAt(b []byte) uint64 {
	size := binary.LittleEndian.Uint64(b) & (1<<56 - 1)
	if size == 0 || size > uint64(len(b)-8) {
		return 0
	}
	var rec walpb.Record
	if proto.Unmarshal(b[8:8+size], &rec) != nil {
		return 0
	}
	return batchOf(&rec)
}

// frameAt returns how long the frame at the beginning of b is, bytes, of which some may
// lack; 0 if its length may be damaged: the data, which is a record's last field, does not
// end where the record does.
func frameAt(b []byte) int64 {
	size := binary.LittleEndian.Uint64(b) & (1<<56 - 1)
	for rest := b[8:]; ; {
		num, kind, n := protowire.ConsumeTag(rest)
		if n < 0 {
			return 0
		}
		rest = rest[n:]
		if num == 3 && kind == protowire.BytesType {
			data, n := protowire.ConsumeVarint(rest)
			if before := uint64(len(b) - 8 - len(rest) + n); n < 0 || data > size || before+data != size {
				return 0
			}
			return int64((8 + size + 7) &^ 7) // with its padding
		}
		if n = protowire.ConsumeFieldValue(num, kind, rest); n < 0 {
			return 0
		}
		rest = rest[n:]
	}
}

// batchOf returns the number of the write that a record is of; 0 if it has none.
func batchOf(rec *walpb.Record) uint64 {
	switch rec.GetType() {
	case wal.EntryType:
		var e raftpb.Entry
		if proto.Unmarshal(rec.Data, &e) == nil {
			return e.GetTerm()
		}
	case wal.StateType:
		var s raftpb.HardState
		if proto.Unmarshal(rec.Data, &s) == nil {
			return s.GetVote()
		}
	}
	return 0
}
