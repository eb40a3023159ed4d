package ring

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestAppendedIsUnseenUntilPublish(t *testing.T) {
	r := NewSPSC(256)
	r.Append(1, nil)
	r.Append(2, nil)
	if !r.Empty() {
		t.Fatal("an unpublished record is seen")
	}
	r.Publish()
	for want := range uint64(2) {
		if meta, _, ok := r.Peek(); !ok || meta != want+1 {
			t.Fatalf("got %d, %v, want %d", meta, ok, want+1)
		}
		r.Next()
	}
}

func TestWait(t *testing.T) {
	r := NewSPSC(256)
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(time.Millisecond, cancel)
	must(t, r.Wait(ctx), context.Canceled)

	r.TryPush(1, nil)
	must(t, r.Wait(ctx), nil) // there is a record: ctx is not looked at
	r.Close()
	must(t, r.Wait(patient(t)), nil)
	r.Next() // nothing peeked yet
	must(t, r.Wait(patient(t)), nil)
	r.Peek()
	r.Next()
	must(t, r.Wait(patient(t)), ErrClosed)
}

func TestCloseWakesWait(t *testing.T) {
	for range 500 {
		r := NewSPSC(256)
		done := make(chan error)
		go func() { done <- r.Wait(patient(t)) }()
		runtime.Gosched()
		go r.Close()
		must(t, <-done, ErrClosed)
	}
}

// The producer publishes, and at the end closes, just as the consumer goes to sleep.
func TestWaitRacesWithPublishAndClose(t *testing.T) {
	ctx := patient(t)
	var round atomic.Int64
	var current atomic.Pointer[SPSC]
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range int64(raceRounds) {
			awaitRound(&round, 2*i)
			r := current.Load()
			spin()
			r.TryPush(1, nil)
			if i%2 == 1 {
				r.Close()
			}
			round.Add(1)
		}
	})
	for i := range int64(raceRounds) {
		if i%2 == 0 { // the last one is closed
			current.Store(NewSPSC(256))
		}
		r := current.Load()
		round.Add(1)
		spin()
		if err := r.Wait(ctx); err != nil {
			t.Fatalf("round %d: %v, ring empty: %v", i, err, r.Empty())
		}
		r.Peek()
		r.Next()
		r.Release()
		awaitRound(&round, 2*i+1)
	}
	wg.Wait()
}

// A producer has claimed the bell, but the consumer finds the record by itself.
func TestNoTokenIsLeftOver(t *testing.T) {
	r := NewSPSC(256)
	r.bell.Arm()
	r.TryPush(1, nil)
	r.disarm()
	if len(r.token) != 0 {
		t.Fatal("a wake-up is left for a later sleep")
	}
}

// The consumer sleeps whenever it can, with contexts that end at any moment.
func TestOneProducerOneConsumer(t *testing.T) {
	for _, capacity := range []int{256, 4096, 1 << 16} {
		const n = 20000
		r := NewSPSC(capacity)
		var wg sync.WaitGroup
		wg.Go(func() {
			defer r.Close()
			buf := make([]byte, r.MaxRecord())
			for seq := range uint64(n) {
				p := pattern(buf[:length(0, seq, len(buf))], 0, seq)
				for !r.Append(seq, p) {
					r.Publish()
					runtime.Gosched()
				}
				if seq%5 == 0 {
					r.Publish()
				}
			}
			r.Publish()
		})
		c := checker{next: make([]uint64, 1)}
		for taken := 0; ; taken++ {
			if err := waitBriefly(t, r, taken); err != nil {
				must(t, err, ErrClosed)
				break
			}
			meta, p, ok := r.Peek()
			if !ok {
				t.Fatal("Wait returned for nothing")
			}
			c.take(t, meta, p, r.MaxRecord())
			r.Next()
			if taken%3 == 0 || r.Empty() {
				r.Release()
			}
		}
		wg.Wait()
		if c.next[0] != n {
			t.Fatalf("%d records came, want %d", c.next[0], n)
		}
	}
}

// waitBriefly waits under contexts that end soon, and then under one that does not.
func waitBriefly(t *testing.T, r *SPSC, salt int) error {
	if salt%16 == 0 && r.Empty() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(salt%7)*time.Microsecond)
		defer cancel()
		if err := r.Wait(ctx); err == nil || ctx.Err() == nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return r.Wait(ctx)
}

// Each record is pushed only when the one before it has been taken: a single lost
// wake-up stops everything.
func TestNoWakeUpIsLostInWait(t *testing.T) {
	const n = 50000
	there, back := NewSPSC(256), NewSPSC(256)
	ctx := patient(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range n {
			echo(t, ctx, there, back)
		}
	})
	there.TryPush(0, nil)
	for range n - 1 {
		echo(t, ctx, back, there)
	}
	wg.Wait()
}

func echo(t *testing.T, ctx context.Context, from, to *SPSC) {
	if err := from.Wait(ctx); err != nil {
		t.Error(err)
		return
	}
	from.Peek()
	from.Next()
	from.Release()
	if !to.TryPush(0, nil) {
		t.Error("ring full with one record")
	}
}
