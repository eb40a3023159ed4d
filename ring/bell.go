package ring

import "sync/atomic"

// Bell decides who wakes a consumer that sleeps outside Go's scheduler. The
// consumer:
//
//	bell.Arm()
//	if its rings are empty { sleep in the kernel, until woken }
//	bell.Disarm()
//
// Each producer, after its record is pushed:
//
//	if bell.Claim() { wake the consumer, for example by writing to an eventfd }
//
// No wake-up is lost: the consumer stores armed and then loads the record's
// state; the producer stores the record's state and then loads armed. If both
// loads missed the other's store, each load would have to come before the other
// side's store, and each store comes before its own side's load: a circle. Go's
// atomics take effect in one order that all goroutines agree on (the memory
// model's sequential consistency), with the fence between store and load that
// this needs (on amd64 the store is an XCHG). So either the consumer finds the
// record and does not sleep, or the producer finds the bell armed. This is
// Dekker's argument; event counts are built on it.
//
// The zero Bell is ready and not armed. It must not be copied.
type Bell struct {
	_     gap
	armed atomic.Bool
	_     gap
}

// Arm announces that the consumer is about to sleep. The consumer must look at
// its rings once more before it does.
func (b *Bell) Arm() { b.armed.Store(true) }

// Disarm says that the consumer is awake. It returns false if a producer had
// claimed the bell: then a wake-up has come or is still to come, and a consumer
// that counts its wake-ups has to take it.
func (b *Bell) Disarm() bool { return b.armed.Swap(false) }

// Claim returns true to exactly one caller of those that find the bell armed,
// and disarms it. That caller must wake the consumer, or do its work. While the
// consumer is awake, Claim is a load of a word that nobody writes.
func (b *Bell) Claim() bool {
	return b.armed.Load() && b.armed.CompareAndSwap(true, false)
}
