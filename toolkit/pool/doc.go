// Package pool processes a group's messages on several workers, and still has them enter
// a region in the order in which they were delivered: the event counts of Horus.
//
//	p, err := pool.New(pool.Config{Workers: 4}, pool.HandlerFunc(func(t *pool.Turn) {
//		order, err := parse(t.Payload) // concurrently
//		t.Enter(func() { book.apply(order) }) // in delivery order
//	}))
//	group, err := node.Join(ctx, "orders", p.Handler())
//
// A function that returns, or panics, without Enter gives its turn up by that, so that
// nobody waits for one who has forgotten. With Config.Key messages of one key are
// processed one after the other, in delivery order, and those of others meanwhile.
//
// Event counts are those of Reed and Kanodia, "Synchronization with Eventcounts and
// Sequencers" (1979); van Renesse, Birman and Maffeis, "Horus: A Flexible Group
// Communication System" (1996) has them order threads.
package pool
