package ring

import (
	"bytes"
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// checker is a consumer's view of producers that push pattern records: each
// producer's records come complete and in order.
type checker struct {
	next []uint64 // by producer
	want []byte
}

func (c *checker) take(t *testing.T, meta uint64, p []byte, limit int) {
	t.Helper()
	producer, seq := meta>>32, meta&(1<<32-1)
	if producer >= uint64(len(c.next)) || c.next[producer] != seq {
		t.Fatalf("producer %d: record %d, want %v", producer, seq, c.next)
	}
	c.next[producer]++
	c.want = pattern(append(c.want[:0], make([]byte, length(producer, seq, limit))...), producer, seq)
	if !bytes.Equal(p, c.want) {
		t.Fatalf("producer %d record %d: %d bytes, wrong or not the %d pushed", producer, seq, len(p), len(c.want))
	}
}

// produce pushes records 0..n-1 of a producer, each by one of the two ways to
// push, and calls pushed after each.
func produce(t *testing.T, r *MPSC, producer uint64, n int, pushed func()) {
	ctx := patient(t)
	buf := make([]byte, r.MaxRecord())
	for seq := range uint64(n) {
		p := pattern(buf[:length(producer, seq, len(buf))], producer, seq)
		meta := producer<<32 | seq
		if seq%3 != 0 || !r.TryPush(meta, p) {
			if err := r.Push(ctx, meta, p); err != nil {
				t.Errorf("producer %d record %d: %v", producer, seq, err)
				return
			}
		}
		pushed()
	}
}

// A small ring is full and wraps all the time; a larger one is now full, now empty.
func TestManyProducers(t *testing.T) {
	for _, capacity := range []int{256, 4096, 1 << 16} {
		r, bell, wake := NewMPSC(capacity), new(Bell), make(chan struct{}, 1)
		const producers, each = 5, 4000
		var wg sync.WaitGroup
		for id := range uint64(producers) {
			wg.Go(func() {
				produce(t, r, id, each, func() {
					if bell.Claim() {
						wake <- struct{}{}
					}
				})
			})
		}
		c := checker{next: make([]uint64, producers)}
		for n := 0; n < producers*each; {
			if meta, p, ok := r.Peek(); ok {
				c.take(t, meta, p, r.MaxRecord())
				r.Next()
				if n++; n%7 == 0 {
					r.Release()
				}
				continue
			}
			r.Release()
			sleepUntilRung(t, bell, wake, r.Empty)
		}
		wg.Wait()
		if !r.Empty() {
			t.Error("more records than were pushed")
		}
	}
}

// sleepUntilRung sleeps as a consumer does with a Bell, unless there is work.
func sleepUntilRung(t *testing.T, bell *Bell, wake chan struct{}, empty func() bool) {
	t.Helper()
	bell.Arm()
	if !empty() {
		if !bell.Disarm() {
			<-wake
		}
		return
	}
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case <-wake:
	case <-timeout.C:
		t.Fatalf("lost wake-up: consumer asleep, ring empty: %v", empty())
	}
}

func TestPushWaitsForRoom(t *testing.T) {
	r := NewMPSC(256)
	fill(r)
	done := make(chan error, 1)
	go func() { done <- r.Push(patient(t), 8, nil) }()
	awaitQueue(t, r, 1)
	consume(r, 1)
	select {
	case err := <-done:
		t.Fatalf("woken for an eighth of the ring: %v", err)
	case <-time.After(10 * time.Millisecond):
	}
	if r.TryPush(9, nil) {
		t.Fatal("TryPush took room from one that waits")
	}
	consume(r, 1)
	must(t, <-done, nil)
	if !r.TryPush(9, nil) {
		t.Fatal("TryPush refused though nobody waits and there is room")
	}
}

// Each of many waiters must get its turn by the consumer's work alone, and in order.
func TestTurnsAreInOrder(t *testing.T) {
	const n = 40
	r := NewMPSC(256)
	fill(r)
	var wg sync.WaitGroup
	for i := range uint64(n) {
		wg.Go(func() {
			if err := r.Push(patient(t), i, make([]byte, i%33)); err != nil {
				t.Error(err)
			}
		})
		awaitQueue(t, r, int(i)+1)
	}
	for got := 0; got < 8+n; {
		if taken := consume(r, 1+got%5); taken > 0 {
			got += taken
		} else {
			runtime.Gosched()
		}
		if jumped(&r.waiting) {
			t.Error("one got its turn before one that came earlier")
		}
	}
	wg.Wait()
	if r.tail.Load()&flagQueue != 0 || r.waiting.unserved.Load() {
		t.Error("the queue's flags are up though nobody waits")
	}
}

// jumped tells whether a waiter is served though one before it never was.
func jumped(q *queue) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	unserved := false
	for w := q.first; w != nil; w = w.next {
		if w.served && unserved {
			return true
		}
		unserved = unserved || !w.served && !w.passedOver
	}
	return false
}

// A waiter that has given up must leave its turn to the next.
func TestCancelledWaiterPassesItsTurnOn(t *testing.T) {
	for range 200 {
		r := NewMPSC(256)
		fill(r)
		ctx, cancel := context.WithCancel(context.Background())
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { first <- r.Push(ctx, 100, make([]byte, 32)) }()
		awaitQueue(t, r, 1)
		go func() { second <- r.Push(patient(t), 101, make([]byte, 32)) }()
		awaitQueue(t, r, 2)
		cancel()
		consume(r, 2) // of a quarter, with padding in mind, only one can be served
		if err := <-first; err != nil {
			must(t, err, context.Canceled)
			must(t, <-second, nil)
			continue
		}
		consume(r, 8)
		must(t, <-second, nil)
	}
}

// One that hammers the ring with small records must not starve a large one.
func TestLargeRecordIsNotStarved(t *testing.T) {
	r := NewMPSC(1 << 12)
	stop, ctx := make(chan struct{}), patient(t)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					r.TryPush(0, nil)
				}
			}
		})
	}
	wg.Go(func() {
		defer close(stop)
		for i := range 40 {
			if err := r.Push(ctx, 1, make([]byte, r.MaxRecord())); err != nil {
				t.Errorf("large record %d: %v", i, err)
				return
			}
		}
	})
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
			consume(r, 3)
		}
	}
}

// The consumer frees the ring for the last time just as a producer begins to wait.
func TestWaitingRacesWithRelease(t *testing.T) {
	r := NewMPSC(256)
	ctx := patient(t)
	var round atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range int64(raceRounds) {
			awaitRound(&round, 2*i)
			if err := r.Push(ctx, 1, nil); err != nil {
				t.Errorf("round %d: %v, %d bytes free", i, err, r.free())
			}
			round.Add(1)
		}
	})
	for i := range int64(raceRounds) {
		fill(r)
		round.Add(1)
		spin()
		consume(r, 8)
		awaitRound(&round, 2*i+1)
		consume(r, 8)
	}
	wg.Wait()
}

func TestCancelWhileWaiting(t *testing.T) {
	r := NewMPSC(256)
	fill(r)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Push(ctx, 1, nil) }()
	awaitQueue(t, r, 1)
	cancel()
	must(t, <-done, context.Canceled)
	must(t, r.Push(ctx, 1, nil), context.Canceled)
	consume(r, 1)
	if !r.TryPush(1, nil) {
		t.Fatal("a cancelled waiter still holds its place")
	}
	consume(r, 8)
	must(t, r.Push(ctx, 1, nil), nil) // there is room: ctx is not looked at
}

func TestCloseWakesAllWaiters(t *testing.T) {
	r := NewMPSC(256)
	fill(r)
	const n = 10
	done := make(chan error, n)
	for range n {
		go func() { done <- r.Push(patient(t), 1, nil) }()
	}
	awaitQueue(t, r, n)
	r.Close()
	for range n {
		must(t, <-done, ErrClosed)
	}
	must(t, r.Push(patient(t), 1, nil), ErrClosed)
	if got := consume(r, 100); got != 8 {
		t.Errorf("%d records left after Close, want the 8 pushed before", got)
	}
	must(t, r.Push(patient(t), 1, nil), ErrClosed)
}

// What Push reported as pushed is there to be consumed, and nothing else is,
// wherever Close falls.
func TestCloseAgainstPushes(t *testing.T) {
	for range 200 {
		r := NewMPSC(512)
		var wg sync.WaitGroup
		pushed := make([]int, 3)
		for id := range pushed {
			wg.Go(func() {
				for r.Push(patient(t), 0, nil) == nil {
					pushed[id]++
				}
			})
		}
		got := 0
		for got < 50 {
			got += consume(r, 5)
		}
		r.Close()
		wg.Wait()
		got += consume(r, 1000)
		if want := pushed[0] + pushed[1] + pushed[2]; got != want {
			t.Fatalf("consumed %d records, pushed %d", got, want)
		}
	}
}

func TestTooLarge(t *testing.T) {
	r := NewMPSC(256)
	must(t, r.Push(patient(t), 0, make([]byte, 33)), ErrTooLarge)
}

// A producer that has to wait for each record, as under backpressure, must not
// allocate either.
func TestWaitingDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops items at random under the race detector")
	}
	r := NewMPSC(256)
	ctx := context.Background()
	stop := make(chan struct{})
	fill(r)
	go func() {
		defer close(stop)
		for r.Push(ctx, 0, nil) == nil {
		}
	}()
	round := func() {
		for r.tail.Load()&flagQueue == 0 {
			runtime.Gosched()
		}
		consume(r, 8)
	}
	if n := testing.AllocsPerRun(1000, round); n != 0 {
		t.Errorf("%v allocations for each eight pushes", n)
	}
	r.Close()
	<-stop
}

// fill pushes records 0 to 7, which is all that the smallest ring takes.
func fill(r *MPSC) {
	for i := range uint64(8) {
		r.TryPush(i, nil)
	}
}

// consume takes at most n records, releases them and returns how many.
func consume(r *MPSC, n int) int {
	for i := range n {
		if r.Empty() {
			n = i
			break
		}
		r.Next()
	}
	r.Release()
	return n
}

// awaitQueue returns when n producers wait for room.
func awaitQueue(t *testing.T, r *MPSC, n int) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Microsecond) {
		r.waiting.mu.Lock()
		waiting := 0
		for w := r.waiting.first; w != nil; w = w.next {
			waiting++
		}
		r.waiting.mu.Unlock()
		if waiting == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d producers wait, want %d", waiting, n)
		}
	}
}

// TestPassedIsExact: whatever records take of the ring, padding included, the position
// behind some is passed with the last of them and not before.
func TestPassedIsExact(t *testing.T) {
	r := NewMPSC(1024)
	if !r.Passed(r.End()) {
		t.Error("an empty ring is not passed")
	}
	for _, size := range []int{32, 0, 64, 100, 128, 31, 128, 96, 128, 128, 33} { // more than a lap
		for range 3 {
			if !r.TryPush(0, make([]byte, size)) {
				t.Fatalf("no room for %d bytes", size)
			}
		}
		end := r.End()
		if !r.TryPush(0, nil) {
			t.Fatal("no room for a last one")
		}
		for k := range 4 {
			if got, want := r.Passed(end), k == 3; got != want {
				t.Errorf("%d bytes: after %d of 3 records passed is %v", size, k, got)
			}
			if _, _, ok := r.Peek(); !ok {
				t.Fatal("nothing to peek")
			}
			r.Next()
		}
		r.Release()
	}
}
