// Package failover measures what the failure of a member costs the others: members
// as processes send at a fixed rate, one is killed, stopped, cut off or joins, and
// the others tell how long nothing was delivered and when they had the new view.
package failover

import "time"

// Op is what a member is asked to do.
type Op string

// What a member can be asked.
const (
	OpOpen    Op = "open"    // enter the ring and the group, which may mean to fetch a state; answers At, when that began
	OpAwait   Op = "await"   // wait for a view of Size members after Since
	OpStart   Op = "start"   // begin to send and to keep track of deliveries
	OpDie     Op = "die"     // answer At and end by SIGKILL when the ordering token is here
	OpMeasure Op = "measure" // answers Measured
	OpStop    Op = "stop"    // end to send
	OpTally   Op = "tally"   // answers Tally
)

// awaitLimit bounds how long a member waits for a view. The one without a silent member
// begins only after the timeout.
func awaitLimit(timeout time.Duration) time.Duration { return 20*time.Second + 2*timeout }

// limit bounds how long a member may take to answer. What waits for others gives up by itself, and
// its error says more; all else is answered at once unless the process hangs or is stopped.
func (q *Request) limit(timeout time.Duration) time.Duration {
	switch q.Op {
	case OpOpen, OpAwait, OpDie:
		return 10*time.Second + awaitLimit(timeout)
	}
	return 10 * time.Second
}

// Request is one line to a member: Op says which of the others counts.
type Request struct {
	Op    Op     `json:"op"`
	Open  *Open  `json:"open,omitempty"`
	Size  int    `json:"size,omitempty"`  // Await, Measure: members of the view
	Since int64  `json:"since,omitempty"` // Await, Measure: ns of package clock; Measure: when the fault was
	Until int64  `json:"until,omitempty"` // Measure: when all had the view
	Hit   string `json:"hit,omitempty"`   // Measure: name of whom the fault was done to
}

// Open says what to open.
type Open struct {
	Name      string        `json:"name"`
	Members   int           `json:"members"` // of the ring, as engine.Config.Expect has it
	Cluster   string        `json:"cluster"`
	Interface string        `json:"interface"`
	Timeout   time.Duration `json:"timeout"`
	Every     time.Duration `json:"every"` // between two messages
	Size      int           `json:"size"`  // bytes of a message
	State     int64         `json:"state"` // bytes of the group's state
}

// Reply answers a Request.
type Reply struct {
	Error    string    `json:"error,omitempty"` // it could not be done, or an order was breached
	At       int64     `json:"at,omitempty"`    // ns of package clock
	Measured *Measured `json:"measured,omitempty"`
	Tally    *Tally    `json:"tally,omitempty"`
}

// Measured is what a member saw of a fault, ns.
type Measured struct {
	Gap       int64 `json:"gap"`       // longest time without a delivery between the fault and until all had the view
	View      int64 `json:"view"`      // from the fault to the view
	Recovered int64 `json:"recovered"` // from the fault until throughput was back; 0: not yet

	Timeline []float64 `json:"timeline"` // see track.timeline
}

// Tally is what a member has sent and delivered.
type Tally struct {
	Rank int    `json:"rank"` // in the ring
	Sent uint64 `json:"sent"` // number of the last message that was accepted; 0: none was
	Chain
}
