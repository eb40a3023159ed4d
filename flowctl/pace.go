package flowctl

// Times of acknowledgement, in ns.
const (
	AckDelay    int64 = 1_000_000   // data is acknowledged after this at the latest
	AnnounceMin int64 = 4_000_000   // what is not acknowledged is announced again after this, doubling
	AnnounceMax int64 = 128_000_000 // up to this
	Heartbeat   int64 = 250_000_000 // a row is sent this often though nothing happens, unless told otherwise
)

// Acks decides when a member sends its row: after a fraction of the budget has
// arrived, AckDelay after the first data not yet acknowledged, at once when
// someone waits for it, and slowly as a heartbeat.
type Acks struct {
	every   int   // charged bytes
	arrived int   // charged bytes since the last row
	due     int64 // when a row must be sent
	beat    int64 // ns from a row to the next though nothing happens
}

// NewAcks returns the pacing for receivers whose smallest buffer has budget
// bytes: a row for each tenth of it, at least four to a window, and one every
// heartbeat ns though nothing happens.
func NewAcks(now int64, budget int, heartbeat int64) Acks {
	return Acks{every: budget / 10, due: now + heartbeat, beat: heartbeat}
}

// Arrived notes data worth charge bytes.
func (a *Acks) Arrived(now int64, charge int) {
	a.arrived += charge
	if a.arrived >= a.every {
		a.due = now
	} else {
		a.due = min(a.due, now+AckDelay)
	}
}

// Now notes that someone waits for the row.
func (a *Acks) Now(now int64) { a.due = min(a.due, now) }

// Due returns when a row must be sent at the latest.
func (a *Acks) Due() int64 { return a.due }

// Waiting tells whether data has come since the last row: a packet that leaves
// anyway should carry one.
func (a *Acks) Waiting() bool { return a.arrived > 0 }

// Sent notes that a row has left.
func (a *Acks) Sent(now int64) { a.arrived, a.due = 0, now+a.beat }

// Announce decides when a member that waits for others' rows says again what it
// has sent and asks for them: the last packet of a burst may be lost, and then no
// later packet shows the hole.
type Announce struct {
	due   int64
	tries int
}

// NewAnnounce returns an idle Announce.
func NewAnnounce() Announce { return Announce{due: Never} }

// Wait notes that a row is being waited for from now on, if none was before.
func (a *Announce) Wait(now int64) {
	if a.due == Never {
		a.due = now + AnnounceMin
	}
}

// Progress notes that rows have moved, or that data was sent: the wait starts over.
func (a *Announce) Progress(now int64) {
	if a.due != Never {
		a.tries, a.due = 0, now+AnnounceMin
	}
}

// Idle notes that nothing is waited for.
func (a *Announce) Idle() { *a = NewAnnounce() }

// Due returns when to announce; Never when idle.
func (a *Announce) Due() int64 { return a.due }

// Sent notes an announcement.
func (a *Announce) Sent(now int64) {
	a.tries++
	a.due = now + min(AnnounceMin<<min(a.tries, 10), AnnounceMax)
}
