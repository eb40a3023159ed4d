package membership

import (
	"errors"
	"fmt"
)

// LetterKind tells what a letter of the control plane says.
type LetterKind uint8

// Kinds of letters. The first line is between a ring's leader and who wants to
// join; the others are among members of one view.
const (
	Join      LetterKind = 1 + iota // let me in: Member, Lone
	Invite                          // connect to all of Full, then say Ready
	Refuse                          // no: Text
	Ready                           // connected to all of View
	Suspect                         // these have failed: Suspicions; nobody: what is the view?
	Leave                           // a view without me, please
	Prepare                         // Ballot: stop, and tell what you hold
	Promise                         // Row, and what has been accepted: Proposal at Accepted, if any
	Reject                          // Ballot has been promised to another leader
	Propose                         // Proposal at Ballot; Holders tells who has the cut
	Accepted                        // at Ballot: I hold the cut
	Install                         // Proposal is decided
	Gone                            // the ring goes on without you: Ring, Text
	WantState                       // send me the ring's state at the opening of View
	State                           // that: Blob
	Hears                           // your multicast reaches me, or does not: Heard
	lastKind  = Hears
)

var letterNames = [...]string{"", "Join", "Invite", "Refuse", "Ready", "Suspect", "Leave", "Prepare", "Promise", "Reject", "Propose",
	"Accepted", "Install", "Gone", "WantState", "State", "Hears"}

// String names the kind.
func (k LetterKind) String() string {
	if k == 0 || k > lastKind {
		return fmt.Sprintf("LetterKind(%d)", uint8(k))
	}
	return letterNames[k]
}

// Ballot numbers the attempts of leaders to end one view: later rounds are
// higher, and no two leaders share one. 0 is none.
type Ballot uint64

func makeBallot(round uint64, rank int) Ballot { return Ballot(round<<8 | uint64(rank)) }

func (b Ballot) round() uint64 { return uint64(b >> 8) }

// Rank returns the rank of the leader whose attempt it is.
func (b Ballot) Rank() int { return int(b & 0xff) }

// Reason says why a member is not in the next view.
type Reason uint8

// Reasons.
const (
	Left        Reason = 1 + iota // it asked to
	Crashed                       // its connection closed
	Silent                        // nothing was heard from it for the timeout
	Unreachable                   // no connection to it came about
	Unanswering                   // it did not answer the leader
	Slow                          // it made the senders wait for longer than is allowed
	Deaf                          // it did not acknowledge what others did
	Merged                        // its ring gave way to another
	lastReason  = Merged
)

var reasonNames = [...]string{"", "left", "crashed", "silent", "unreachable", "unanswering", "slow", "deaf", "merged"}

// String names the reason in one word.
func (r Reason) String() string {
	if r == 0 || r > lastReason {
		return fmt.Sprintf("Reason(%d)", uint8(r))
	}
	return reasonNames[r]
}

// Departure is a member of a view that is not in the next one.
type Departure struct {
	Rank   int // in the old view
	Reason Reason
}

// Proposal is what a view is to be followed by.
type Proposal struct {
	Next View        // without members: the ring dissolves
	Cut  []uint64    // per rank of the old view: the last packet that belongs to it
	Gone []Departure // by rank
}

// Letter is a message of the control plane. Which fields count depends on Kind.
type Letter struct {
	Kind     LetterKind
	View     uint64 // key of the view that it is about
	Num      uint64 // and its number
	Ballot   Ballot
	Ring     uint64 // Gone: which goes on; it is written in Ballot's place
	Accepted Ballot // Promise: at which Proposal was accepted; 0: none
	Row      []uint64
	Proposal Proposal
	Holders  []uint8 // per rank of the old view: who has all of its part of the cut

	Suspicions []Departure
	Member     Member
	Lone       bool // goes on without a majority
	Full       View
	Heard      bool
	Text       string
	Blob       []byte // borrowed from what was parsed
}

// ErrLetter is returned for a malformed letter.
var ErrLetter = errors.New("membership: malformed letter")

// Append appends the letter's bytes to b.
func (l Letter) Append(b []byte) []byte {
	b = append(b, byte(l.Kind))
	b = le.AppendUint64(b, l.View)
	b = le.AppendUint64(b, l.Num)
	if l.Kind == Gone {
		b = le.AppendUint64(b, l.Ring)
	} else {
		b = le.AppendUint64(b, uint64(l.Ballot))
	}
	switch l.Kind {
	case Join:
		b = append(l.Member.append(b), bit(l.Lone))
	case Invite:
		b = l.Full.append(b)
	case Refuse, Gone:
		b = appendText(b, l.Text, 255)
	case Suspect:
		b = appendDepartures(b, l.Suspicions)
	case Promise:
		b = appendVector(b, l.Row)
		b = le.AppendUint64(b, uint64(l.Accepted))
		if l.Accepted != 0 {
			b = l.Proposal.append(b)
		}
	case Propose, Install:
		b = l.Proposal.append(b)
		b = append(append(b, byte(len(l.Holders))), l.Holders...)
	case State:
		b = append(b, l.Blob...)
	case Hears:
		b = append(b, bit(l.Heard))
	}
	return b
}

func bit(yes bool) byte {
	if yes {
		return 1
	}
	return 0
}

func (p Proposal) append(b []byte) []byte {
	b = p.Next.append(b)
	b = appendVector(b, p.Cut)
	return appendDepartures(b, p.Gone)
}

func appendDepartures(b []byte, list []Departure) []byte {
	b = append(b, byte(len(list)))
	for _, d := range list {
		b = append(b, byte(d.Rank), byte(d.Reason))
	}
	return b
}

// ParseLetter reads a letter. Views in it are valid; whether its vectors fit the
// view that it is about is for the reader to check. A Blob is borrowed from b.
func ParseLetter(b []byte) (l Letter, err error) {
	r := reader{b: b}
	l = Letter{Kind: LetterKind(r.u8()), View: r.u64(), Num: r.u64(), Ballot: Ballot(r.u64())}
	switch l.Kind {
	case Join:
		l.Member, l.Lone = r.member(), r.bit()
	case Invite:
		l.Full = r.view()
		r.bad = r.bad || l.Full.Validate() != nil
	case Refuse:
		l.Text = r.text()
	case Gone:
		l.Ring, l.Ballot, l.Text = uint64(l.Ballot), 0, r.text()
	case Suspect:
		l.Suspicions = r.departures()
	case Promise:
		l.Row = r.vector()
		if l.Accepted = Ballot(r.u64()); l.Accepted != 0 {
			l.Proposal = r.proposal()
		}
	case Propose, Install:
		l.Proposal = r.proposal()
		l.Holders = append([]uint8(nil), r.take(r.count())...)
	case State:
		l.Blob, r.b = r.b, nil
	case Hears:
		l.Heard = r.bit()
	case Ready, Leave, Prepare, Reject, Accepted, WantState:
	default:
		r.bad = true
	}
	if r.bad || len(r.b) != 0 {
		return Letter{}, ErrLetter
	}
	return l, nil
}

func (r *reader) bit() bool {
	b := r.u8()
	r.bad = r.bad || b > 1
	return b == 1
}

func (r *reader) proposal() Proposal {
	p := Proposal{Next: r.view(), Cut: r.vector(), Gone: r.departures()}
	if len(p.Next.Members) > 0 && p.Next.Validate() != nil {
		r.bad = true
	}
	return p
}

func (r *reader) departures() (list []Departure) {
	for range r.count() {
		d := Departure{int(r.u8()), Reason(r.u8())}
		if d.Rank >= MaxMembers || d.Reason == 0 || d.Reason > lastReason {
			r.bad = true
		}
		list = append(list, d)
	}
	return list
}
