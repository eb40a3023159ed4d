// Package rsm is a replicated state machine: each member of a group has a copy of an
// application, and all copies apply the same commands in the same order. What a member
// was told to have been applied stays applied as long as a majority of the ring goes on;
// with a Storage, as long as a majority of the disks does. It is what Paxos or Raft are
// used for, over the engine's safe abcast.
//
// F. B. Schneider, "Implementing Fault-Tolerant Services Using the State Machine Approach" (1990).
package rsm

import "io"

// Application is what is replicated. Its methods are called one at a time. Its state may
// depend on nothing but the commands: no clocks, random numbers or order of maps.
type Application interface {
	// Apply carries out a command, which is borrowed, and returns its result, which is
	// kept for a while and not to be changed any more. It is called on the node's loop
	// and must be quick. A command that makes no sense has a result that says so: the
	// copies must not part ways over it.
	Apply(command []byte) (result []byte)

	// Snapshot and Restore are those of engine.Stateful. What Snapshot returns as the
	// group begins is the application's initial state. With a Storage, an error of Snapshot
	// is like one of the storage where the group begins or takes this member in.
	Snapshot() (io.ReadCloser, error)
	Restore(r io.Reader) error
}
