package kv

import (
	"sync"
	"testing"

	"cohort/internal/testring"
)

// TestKeyLocks: members that add one to a key under its lock, by what their own copy has,
// lose nothing.
func TestKeyLocks(t *testing.T) {
	const adds = 20
	list := joinAll(t, testring.Open(t, 3, testring.Timeout))
	var work sync.WaitGroup
	for _, m := range list {
		work.Go(func() {
			mutex, err := m.Mutex(testring.Patient(t), "counter")
			if err != nil {
				t.Error(err)
				return
			}
			for range adds {
				if _, err := mutex.Lock(testring.Patient(t)); err != nil {
					t.Error(err)
					return
				}
				old, _, err := m.Get("counter")
				if err == nil {
					_, err = m.Put(testring.Patient(t), "counter", old+1)
				}
				if err != nil {
					t.Error(err)
				}
				if err := mutex.Unlock(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	if v, _, err := list[0].GetLatest(testring.Patient(t), "counter"); v != 3*adds || err != nil {
		t.Errorf("%d after %d increments under the lock, %v", v, 3*adds, err)
	}
	for _, m := range list {
		if err := m.Leave(testring.Patient(t)); err != nil {
			t.Error(err)
		}
	}
}
