package chaos

import (
	"fmt"

	"cohort/order"
)

// Kind is what a record of a journal tells.
type Kind uint8

// Kinds of records. Some are followed by arguments.
const (
	Session  Kind = iota + 1 // a new handler begins to join the group: Flags
	Ring                     // it sees a view of the ring: Num, ID is its key; Args: the ring's ID, the member's own
	View                     // it is handed a view of the group: Num, Flags; ID is the epoch if fresh; Args: IDs of the members
	Deliver                  // it is handed a message: Thread, Level, Num, ID of the sender
	Try                      // Send is called: Thread, Level, Num
	Sent                     // it has returned nil
	Refused                  // it has returned an error
	Snapshot                 // Snapshot is called; ID is the state's digest
	Restore                  // Restore has taken a state: ID is the epoch; Args: length and hash of the chain, number of the view; Entries
	Broken                   // a payload is not what was sent
	End                      // the run is over and this member takes part
	Arg                      // one more number of the record before
	Entry                    // one more sender of a restored state: Thread, Num, ID
)

var kindNames = [...]string{"?", "session", "ring", "view", "deliver", "try", "sent", "refused", "snapshot", "restore", "broken", "end", "arg", "entry"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", k)
}

// FlagQueued is a Session's whose handler is a queued one: what it sees of the ring is
// not of the place in the order where it is.
const FlagQueued = 1

// Flags of a View.
const (
	FlagFresh    = 1 << iota
	FlagBlocked  // nothing goes on for now
	FlagExpelled // the ring has gone on without this member
	FlagFailure  // it follows from a failure: all who go on have the same before it
	FlagDeparted // this member has left, and it is its last
)

// Record is one record. Two words hold it.
type Record struct {
	Kind   Kind
	Thread uint8
	Level  order.Level
	Flags  uint8
	Num    uint32
	ID     uint64

	Args    []uint64 // of the records that follow
	Entries []Record
}

func (r Record) String() string {
	return fmt.Sprintf("%v thread %d level %v flags %b num %d id %016x args %x", r.Kind, r.Thread, r.Level, r.Flags, r.Num, r.ID, r.Args)
}

func (r Record) words() (a, b uint64) {
	return uint64(r.Kind) | uint64(r.Thread)<<8 | uint64(r.Level)<<16 | uint64(r.Flags)<<24 | uint64(r.Num)<<32, r.ID
}

func unpack(a, b uint64) Record {
	return Record{Kind: Kind(a), Thread: uint8(a >> 8), Level: order.Level(a >> 16 & 0xff), Flags: uint8(a >> 24), Num: uint32(a >> 32), ID: b}
}
