// Package recorder is a node's flight recorder: the last events of its protocol in
// memory of fixed size, written out when something has gone wrong, and read by
// "vsbench replay". [cohort/engine.Config.Recorder] says where to; docs/OPERATIONS.md
// has the format and the kinds of events.
//
// It is pure: times are arguments, in ns since the node's start.
package recorder

import "sync"

// Kind tells what has happened.
type Kind uint8

// Kinds of events. Where it is said what A, B, Peer or Text are, the others are empty.
const (
	Identity     Kind = 1 + iota // this node is the incarnation Peer from here on
	Stage                        // where it stands: Text; and who it deals with there, if anybody: Peer
	View                         // it is in a view of A members, whose key is B: Text names them by rank
	Gone                         // Peer is not in the view that comes next: Text says why
	Blocked                      // too few of the A members are left to go on
	Expelled                     // the ring has gone on without this node: Text says why, if that is known
	Failed                       // the node's loop has ended: Text says why
	Suspected                    // Peer is suspected: Text says why
	Trusted                      // Peer is not suspected any more
	LetterSent                   // of the control plane, to Peer: Text is its kind, A its ballot, B the view that it is about
	LetterHeard                  // likewise, from Peer
	BeaconSent                   // Text is its kind; of a ring: A members, in view B
	BeaconHeard                  // likewise, from Peer
	Connected                    // control plane, with Peer
	Disconnected                 // likewise: Text says why
	Pausing                      // Peer asks the senders to pause, since it has too much undelivered
	Resumed                      // it does not any more
	Stalled                      // the loop stood still for A ns
	SendError                    // the network refused packets, for the A-th time: Text says why
	Dropped                      // the kernel dropped A packets or trains; B since the start
	Malformed                    // A malformed packets, B of another view
	Traffic                      // A packets sent, B received
	Rows                         // A acknowledgements sent, B announcements
	Repair                       // A requests for packets sent, B received
	Resent                       // A packets sent again, B that came late
	Token                        // the member of rank A holds the token, after B passes
	StateFetch                   // the state of group Text is fetched from Peer
	StateDone                    // it is restored
	StateFailed                  // it could not be had from Peer
	StateOffered                 // a snapshot of the state of group Text is taken for Peer
	FeatureOff                   // Text has gone off, and why
	Unreached                    // multicast does not reach Peer
	Reached                      // it does again
	lastKind     = Reached
)

// kindNames are the words of the format.
var kindNames = [...]string{
	"", "identity", "stage", "view", "gone", "blocked", "expelled", "failed", "suspected", "trusted", "letter-sent", "letter-heard",
	"beacon-sent", "beacon-heard", "connected", "disconnected", "pausing", "resumed", "stalled", "send-error", "dropped", "malformed",
	"traffic", "rows", "repair", "resent", "token", "state-fetch", "state-done", "state-failed", "state-offered", "feature-off",
	"unreached", "reached",
}

// String returns the kind's word in the format.
func (k Kind) String() string {
	if k > lastKind {
		return ""
	}
	return kindNames[k]
}

// Event is something that has happened.
type Event struct {
	At   int64 // ns since the node's start
	Kind Kind
	View uint64 // number of the view that the node is in; 0: none
	Peer uint64 // ID of the member that it is about; 0: none
	A, B uint64
	Text string // kept as it is, without a copy
}

// Size is how many events a Recorder keeps if it is not told otherwise: some
// 256 KiB, which lasts for 10 s at least on a busy node, and for minutes on an idle one.
const Size = 4096

// maxPeers bounds the names that are known: past it each drives out some other, whose
// owner is then shown by ID.
const maxPeers = 256

// Info says whose events these are.
type Info struct {
	Node    string // name
	Cluster string
	Started int64 // ns of the Unix clock at Event.At 0
}

// Recorder keeps the last events. Its methods may be called from any goroutine:
// the lock is held for some 10 ns by who adds an event, and never for more than a
// microsecond or so by who reads.
type Recorder struct {
	info Info

	mu    sync.Mutex
	ring  []Event
	count uint64 // of all events; event i lies at i modulo the ring's length
	peers map[uint64]string
}

// New returns an empty recorder of the last size events, at least one.
func New(info Info, size int) *Recorder {
	return &Recorder{info: info, ring: make([]Event, max(size, 1)), peers: map[uint64]string{}}
}

// Add records an event, in the place of the oldest one. It does not allocate.
func (r *Recorder) Add(e Event) {
	r.mu.Lock()
	r.ring[r.count%uint64(len(r.ring))] = e
	r.count++
	r.mu.Unlock()
}

// Name notes what the member with this ID is called.
func (r *Recorder) Name(id uint64, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.peers[id]; !known && len(r.peers) >= maxPeers {
		for some := range r.peers {
			delete(r.peers, some)
			break
		}
	}
	r.peers[id] = name
}

// chunk is how many events are copied at a time.
const chunk = 64

// events returns a copy of what is there, oldest first, and how many came before.
// Events that are overwritten meanwhile are among those.
func (r *Recorder) events() (list []Event, lost uint64) {
	size := uint64(len(r.ring))
	r.mu.Lock()
	end := r.count
	r.mu.Unlock()
	lost = end - min(end, size)
	list = make([]Event, 0, end-lost)
	for at := lost; at < end; {
		r.mu.Lock()
		if oldest := r.count - min(r.count, size); oldest > at {
			lost, at = oldest, min(oldest, end)
			list = list[:0]
		}
		for stop := min(at+chunk, end); at < stop; at++ {
			list = append(list, r.ring[at%size])
		}
		r.mu.Unlock()
	}
	return list, lost
}
