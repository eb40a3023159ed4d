// Package ring holds the bounded lock-free rings that stand between an
// application's goroutines and a node's loop, and the handshake by which one
// side wakes the other only when it sleeps.
//
//   - [MPSC] carries what many goroutines submit to the one loop. Its order is
//     the order in which producers reserved room: FIFO for each producer, and
//     one that finished a push before another began one comes first.
//   - [SPSC] carries what the loop hands to one goroutine. FIFO. Records can be
//     appended in a batch and published together.
//   - [Bell] is for a consumer that sleeps in the kernel, as in ppoll, and not on
//     a channel: it tells one producer that it has to wake the consumer.
//
// A record is a uint64 that means what the caller wants and a payload of bytes,
// copied in. Whatever a producer wrote before it pushed, the consumer sees after
// it has peeked the record; whatever the consumer did before Release, a producer
// that gets the released room sees.
//
// # Record layout
//
// The payload area is cut into granules of 32 bytes, and beside it lies an array
// with a slot of two words for each granule: state and metadata. A record takes
// whole granules in one piece, at least one, and uses the slot of its first. At
// the wrap a record that would be cut in two is preceded by padding.
//
// As in Agrona's ManyToOneRingBuffer (Thompson, Montgomery et al.,
// https://github.com/aeron-io/agrona), which MPSC follows, a producer reserves
// by compare-and-swap on the tail, copies, and then publishes by an atomic store
// to the record's own header. There the headers lie among the payloads, so old
// payload bytes may stand where the next lap has a header, and the consumer must
// clear all that it consumed: a write to every cache line, which the producer
// then has to fetch back. Here nothing is cleared, and nothing stale can be taken
// for a record:
//
//  1. A state word is only ever written as a state word, since payloads lie in
//     memory of their own. So it is zero or a state of some position.
//  2. Positions count bytes from the ring's creation and never return. The slot
//     gives a position's low bits, and the state holds all its high bits (the
//     lap): the length and two flags fit below, as a record is at most an eighth
//     of the ring. So a state names its position exactly.
//  3. Of each lap, a position is reserved at most once, and its state is stored
//     once, after metadata and payload. So when the consumer reads at its cursor a
//     state that names the cursor's position, the record is there and complete.
package ring
