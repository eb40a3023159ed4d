package ring

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// records is what MPSC and SPSC have in common.
type records interface {
	MaxRecord() int
	TryPush(meta uint64, payload []byte) bool
	Peek() (meta uint64, payload []byte, ok bool)
	Next()
	Release()
	Empty() bool
	Close()
}

var both = []struct {
	name string
	make func(capacity int) records
}{
	{"MPSC", func(n int) records { return NewMPSC(n) }},
	{"SPSC", func(n int) records { return NewSPSC(n) }},
}

func onBoth(t *testing.T, f func(t *testing.T, make func(capacity int) records)) {
	for _, b := range both {
		t.Run(b.name, func(t *testing.T) { f(t, b.make) })
	}
}

// patience is how long a test waits for what must happen at once.
const patience = 20 * time.Second

func patient(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// pattern fills b with what record seq of a producer holds, different at each
// offset and in each record, and returns it.
func pattern(b []byte, producer, seq uint64) []byte {
	x := producer<<32 ^ seq*0x9e3779b97f4a7c15
	for i := range b {
		x = x*6364136223846793005 + 1442695040888963407
		b[i] = byte(x >> 56)
	}
	return b
}

// length is the payload size of record seq: all sizes up to limit, both ends often.
func length(producer, seq uint64, limit int) int {
	var w [16]byte
	switch h := binary.BigEndian.Uint64(pattern(w[:], ^producer, seq)); h % 8 {
	case 0:
		return 0
	case 1:
		return limit
	default:
		return int(h >> 8 % uint64(limit+1))
	}
}

// awaitRound returns when round has gone past n, fast enough for both sides of a
// race to start together.
func awaitRound(round *atomic.Int64, n int64) {
	for tries := 1; round.Load() <= n; tries++ {
		if tries%1000 == 0 {
			runtime.Gosched()
		}
	}
}

// spin takes some nanoseconds to some microseconds, at random: a cache line's way
// between cores lies somewhere in it.
func spin() {
	for range rand.IntN(1 << rand.IntN(12)) {
		spun.Load()
	}
}

var spun atomic.Int64

func must(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}
