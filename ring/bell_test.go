package ring

import (
	"sync"
	"sync/atomic"
	"testing"
)

func TestBellIsClaimedOnce(t *testing.T) {
	var b Bell
	if b.Claim() {
		t.Fatal("claimed a bell that was never armed")
	}
	var round, claims atomic.Int64
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for i := range int64(raceRounds) {
				awaitRound(&round, 3*i)
				if b.Claim() {
					claims.Add(1)
				}
				round.Add(1)
			}
		})
	}
	for i := range int64(raceRounds) {
		b.Arm()
		round.Add(1)
		awaitRound(&round, 3*i+2)
		if claims.Load() != i+1 {
			t.Fatalf("%d claims in %d armed periods", claims.Load(), i+1)
		}
		if b.Disarm() {
			t.Fatal("still armed after a claim")
		}
	}
	wg.Wait()
	if b.Arm(); !b.Disarm() || b.Claim() {
		t.Fatal("disarmed bell was claimed")
	}
}

// The consumer sleeps before each record, and a producer pushes the next one only
// when the last has been taken: a single lost wake-up stops everything.
func TestNoWakeUpIsLost(t *testing.T) {
	const producers, each = 3, 20000
	r, bell, wake := NewMPSC(256), new(Bell), make(chan struct{}, 1)
	taken := make([]chan struct{}, producers)
	var wg sync.WaitGroup
	for id := range taken {
		taken[id] = make(chan struct{}, 1)
		wg.Go(func() {
			for range each {
				if !r.TryPush(uint64(id), nil) {
					t.Error("ring full with a record for each producer")
				}
				if bell.Claim() {
					wake <- struct{}{}
				}
				<-taken[id]
			}
		})
	}
	for range producers * each {
		for r.Empty() {
			sleepUntilRung(t, bell, wake, r.Empty)
		}
		meta, _, _ := r.Peek()
		r.Next()
		r.Release()
		taken[meta] <- struct{}{}
	}
	wg.Wait()
}
