//go:build unix

package chaos

import (
	"encoding/binary"
	"fmt"
	"iter"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// Journal is a file of records that its process writes through shared memory: what
// it has written is there even if it is killed. The first page is a notice board
// between the process and whoever watches it.
type Journal struct {
	file *os.File

	mu    sync.Mutex
	chunk []byte // mapped at present
	at    int    // in chunk
	end   int64  // of the chunk in the file
	board []byte
}

const (
	boardSize  = 4096
	chunkSize  = 4 << 20
	recordSize = 16
)

// Words of the notice board.
const (
	Order      = iota // what the member is to do, by its watcher
	RingKey           // the ring's view that it is in; 0: none
	RingSize          // members of that
	RingRank          // its own rank there, plus 1
	GroupSize         // members of the group; 0: it is not in it
	Standing          // a Stand
	Restoring         // it is being brought up to the group's state
	Digest            // of its state
	Unsettled         // messages that it has sent and not been handed; more than that while it may send others
	Heap              // bytes of Go's heap after a collection
	Goroutines        // how many there are
	Slabs             // bytes of packet memory in use
	Delivered         // messages
	Copied            // trains for all that went to one member
	Concluded         // it has noted where it stands at the end
	boardWords
)

var boardNames = [boardWords]string{"order", "ring", "size", "rank", "group", "standing", "restoring", "digest", "unsettled", "heap", "goroutines", "slabs", "delivered", "copied", "concluded"}

// CreateJournal makes a journal for a process that is about to be started.
func CreateJournal(path string) (*Journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(boardSize); err != nil {
		_ = f.Close() // the first error counts
		return nil, err
	}
	return openBoard(f)
}

// OpenJournal opens a journal that was created, to write to it from its beginning.
func OpenJournal(path string) (*Journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	j, err := openBoard(f)
	if err != nil {
		return nil, err
	}
	j.end = boardSize
	return j, j.advance()
}

func openBoard(f *os.File) (j *Journal, err error) {
	j = &Journal{file: f}
	j.board, err = syscall.Mmap(int(f.Fd()), 0, boardSize, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		_ = f.Close() // the first error counts
		return nil, fmt.Errorf("chaos: mapping %s: %w", f.Name(), err)
	}
	return j, nil
}

// advance maps the next chunk.
func (j *Journal) advance() (err error) {
	if j.chunk != nil {
		if err := syscall.Munmap(j.chunk); err != nil {
			return err
		}
	}
	if err := j.file.Truncate(j.end + chunkSize); err != nil {
		return err
	}
	j.chunk, err = syscall.Mmap(int(j.file.Fd()), j.end, chunkSize, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	j.at, j.end = 0, j.end+chunkSize
	return err
}

// Write appends a record, with its arguments and entries.
func (j *Journal) Write(r Record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.put(r)
	for _, a := range r.Args {
		j.put(Record{Kind: Arg, ID: a})
	}
	for _, e := range r.Entries {
		e.Kind = Entry
		j.put(e)
	}
}

// put writes the two words of a record, the first last: it is there whole or not at all.
func (j *Journal) put(r Record) {
	if j.at == len(j.chunk) {
		if err := j.advance(); err != nil {
			panic(fmt.Sprintf("chaos: %v", err)) // a member without a journal proves nothing
		}
	}
	a, b := r.words()
	atomic.StoreUint64(word(j.chunk, j.at+8), b)
	atomic.StoreUint64(word(j.chunk, j.at), a)
	j.at += recordSize
}

func word(b []byte, at int) *uint64 { return (*uint64)(unsafe.Pointer(&b[at])) }

// Post writes a word of the notice board.
func (j *Journal) Post(k int, v uint64) { atomic.StoreUint64(word(j.board, 8*k), v) }

// See reads a word of the notice board.
func (j *Journal) See(k int) uint64 { return atomic.LoadUint64(word(j.board, 8*k)) }

// Close unmaps the journal. Nothing may be written to it any more.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.chunk != nil {
		if err := syscall.Munmap(j.chunk); err != nil {
			return err
		}
	}
	if err := syscall.Munmap(j.board); err != nil {
		return err
	}
	return j.file.Close()
}

// ReadJournal returns the records of a journal up to its end, or to where its process
// was killed. The file is read each time that they are gone through.
func ReadJournal(path string) iter.Seq[Record] {
	return func(yield func(Record) bool) {
		b, err := os.ReadFile(path)
		if err != nil {
			panic(fmt.Sprintf("chaos: %v", err)) // nothing can be said without it
		}
		b = b[min(boardSize, len(b)):]
		for r, ok := next(&b); ok; {
			after, more := next(&b)
			for ; more && (after.Kind == Arg || after.Kind == Entry); after, more = next(&b) {
				if after.Kind == Arg {
					r.Args = append(r.Args, after.ID)
				} else {
					r.Entries = append(r.Entries, after)
				}
			}
			if !yield(r) {
				return
			}
			r, ok = after, more
		}
	}
}

// next takes a record from the front of b.
func next(b *[]byte) (Record, bool) {
	if len(*b) < recordSize {
		return Record{}, false
	}
	r := unpack(binary.NativeEndian.Uint64(*b), binary.NativeEndian.Uint64((*b)[8:]))
	*b = (*b)[recordSize:]
	return r, r.Kind != 0
}
