// Package groups is the table of all groups of a ring, as every member of the ring
// keeps it: lightweight groups, whose joins and leaves are messages in the total
// order. It is pure, and a function of the views and operations delivered, so that
// it is the same everywhere: who is in a group, who has its state, and who gives it
// to one who joins.
package groups

import (
	"encoding/binary"
	"errors"
	"math/bits"

	"cohort/membership"
)

// MaxName bounds a group's name, bytes.
const MaxName = 255

// maxTable bounds the groups in a table's bytes. A table goes to who joins the ring in one
// letter, of 16 MiB at most with what is around it.
const maxTable = 16<<20 - 64

// Kind is what an operation does to its sender's membership in a group.
type Kind uint8

// Kinds of operations.
const (
	Join    Kind = 'J' // become a member
	Leave   Kind = 'L' // be none any more
	Ready   Kind = 'R' // has the group's state, and can give it to others
	Restart Kind = 'S' // needs the state from another donor than those in Tried
)

// Op is an operation, the payload of a control message.
type Op struct {
	Kind     Kind
	Name     string
	Stateful bool     // Join: the group's state is wanted, and given to others
	Serial   uint64   // Join, Restart: names the transfer of the state
	Tried    []uint64 // Restart: IDs of donors that failed
}

var le = binary.LittleEndian

// Append appends the operation's bytes to b.
func (o Op) Append(b []byte) []byte {
	b = append(b, byte(o.Kind), flag(o.Stateful), byte(len(o.Name)))
	b = append(b, o.Name...)
	b = le.AppendUint64(b, o.Serial)
	for _, id := range o.Tried {
		b = le.AppendUint64(b, id)
	}
	return b
}

func flag(yes bool) byte {
	if yes {
		return 1
	}
	return 0
}

// ParseOp reads an operation. ok is false if b is none.
func ParseOp(b []byte) (o Op, ok bool) {
	if len(b) < 3 || len(b) < 3+int(b[2])+8 || b[2] == 0 || b[1] > 1 {
		return Op{}, false
	}
	name := b[3 : 3+int(b[2])]
	o = Op{Kind: Kind(b[0]), Stateful: b[1] == 1, Name: string(name)}
	b = b[3+len(name):]
	o.Serial, b = le.Uint64(b), b[8:]
	if len(b)%8 != 0 || len(b)/8 > membership.MaxMembers {
		return Op{}, false
	}
	for ; len(b) > 0; b = b[8:] {
		o.Tried = append(o.Tried, le.Uint64(b))
	}
	return o, o.Kind == Join || o.Kind == Leave || o.Kind == Ready || o.Kind == Restart
}

// Table is all groups of a ring. L is what its holder keeps with each group.
type Table[L any] struct {
	view   membership.View
	next   uint32      // number of the next group; 0: all have been used
	size   int         // bytes of all groups that have members, as Append writes them
	list   []*Group[L] // by number; some have no members any more
	byID   index[L]
	byName map[string]*Group[L]
}

// Group is one group. The sets have a bit per rank of the ring's view.
type Group[L any] struct {
	ID       uint32
	Name     string
	Views    uint64 // counts the group's views
	Members  uint64
	Order    Order
	Stateful uint64 // of these, who keeps state
	Ready    uint64 // of these, who has it
	Local    L
}

// Rank returns the rank in the group of the ring's member with this rank, who is in it.
func (g *Group[L]) Rank(ring int) int { return g.Order.rank(g.Members, ring) }

// New returns the table of a ring's first view: empty.
func New[L any](v membership.View) *Table[L] {
	return &Table[L]{view: v, next: 1, byID: index[L]{}, byName: map[string]*Group[L]{}}
}

// Get returns the group with this number; nil if there is none.
func (t *Table[L]) Get(id uint32) *Group[L] { return t.byID.get(id) }

// Find returns the group with this name; nil if it has no members.
func (t *Table[L]) Find(name string) *Group[L] { return t.byName[name] }

// Len returns how many groups have members.
func (t *Table[L]) Len() int { return len(t.byName) }

// Effect is what an operation has come to.
type Effect[L any] struct {
	Group *Group[L]
	Done  bool // else it had no effect
	Full  bool // Join: it had none since there is no room in the table
	Fresh bool // Join: nobody keeps state, so the sender's own is the group's
	Donor int  // Join, Restart: rank in the ring of who gives the state; -1: nobody can
}

// Apply carries out an operation of the member with this rank in the ring.
func (t *Table[L]) Apply(sender int, o Op) Effect[L] {
	bit := uint64(1) << sender
	g := t.Find(o.Name)
	e := Effect[L]{Group: g, Donor: -1}
	if o.Kind == Join {
		if g != nil && g.Members&bit != 0 {
			return e
		}
		if e.Full = !t.hasRoom(g, bit, o.Name); e.Full {
			return e
		}
		if g == nil {
			g = t.make(o.Name)
		}
		return t.join(g, bit, o)
	}
	if g == nil || g.Members&bit == 0 {
		return e
	}
	switch e.Done = true; o.Kind {
	case Leave:
		t.shrink(g, g.Members&^bit)
		if g.Ready == 0 && g.Stateful != 0 { // the state that the sender has given it, or is giving, is the group's
			g.Ready = 1 << donor(g.Stateful)
		}
	case Ready:
		g.Ready |= bit & g.Stateful
	case Restart:
		if others := g.Ready &^ bit; others != 0 { // else it is from before the sender's own became the group's
			g.Ready = others // it may have said Ready of a state that has been given up
		}
		e.Donor = t.Donor(g, sender, o.Tried)
	}
	return e
}

// hasRoom tells whether there is room, and a number, for the one with this bit in g; nil:
// a new group.
func (t *Table[L]) hasRoom(g *Group[L], bit uint64, name string) bool {
	if g == nil {
		return t.next != 0 && t.size+entrySize+len(name) <= maxTable
	}
	return t.size+len(g.Order.join(g.Members, bit))-len(g.Order) <= maxTable
}

// reorder gives g another order.
func (t *Table[L]) reorder(g *Group[L], o Order) {
	t.size += len(o) - len(g.Order)
	g.Order = o
}

// join adds a member. Where all who had the state have left while they were giving
// it to others, it may yet arrive there: it is not begun anew beside that.
func (t *Table[L]) join(g *Group[L], bit uint64, o Op) Effect[L] {
	e := Effect[L]{Group: g, Done: true, Donor: -1}
	t.reorder(g, g.Order.join(g.Members, bit))
	g.Members |= bit
	g.Views++
	if !o.Stateful {
		return e
	}
	if e.Fresh = g.Stateful == 0; e.Fresh {
		g.Ready |= bit
	} else {
		e.Donor = donor(g.Ready)
	}
	g.Stateful |= bit
	return e
}

// Donor returns the rank in the ring of who would give g's state to the member with this rank:
// the oldest other that is Ready and has not been tried, by its ID; -1 if there is none.
func (t *Table[L]) Donor(g *Group[L], to int, tried []uint64) int {
	return donor(g.Ready &^ (1 << to) &^ t.ranks(tried))
}

// donor returns the oldest of ranks; -1 if there are none.
func donor(ranks uint64) int {
	if ranks == 0 {
		return -1
	}
	return bits.TrailingZeros64(ranks)
}

func (t *Table[L]) ranks(ids []uint64) (mask uint64) {
	for _, id := range ids {
		if r := t.view.Rank(id); r >= 0 {
			mask |= 1 << r
		}
	}
	return mask
}

// make returns a new group.
func (t *Table[L]) make(name string) *Group[L] {
	if len(t.list) > 2*len(t.byName) {
		t.list = t.All()
	}
	g := &Group[L]{ID: t.next, Name: name}
	t.next++
	t.add(g)
	return g
}

func (t *Table[L]) add(g *Group[L]) {
	t.list = append(t.list, g)
	t.size += g.size()
	t.byID.put(g)
	t.byName[g.Name] = g
}

// shrink leaves these members to g, and removes it when there are none.
func (t *Table[L]) shrink(g *Group[L], members uint64) {
	g.Views++
	g.Members = members
	t.reorder(g, g.Order.keep(members))
	g.Stateful &= members
	g.Ready &= members
	if members == 0 {
		t.size -= g.size()
		t.byID.remove(g.ID)
		delete(t.byName, g.Name)
	}
}

// Shift is what a change of the ring's view did to one group.
type Shift[L any] struct {
	Group *Group[L]
	Lost  uint64 // ranks in the old view of members that are gone
	Fresh int    // rank in the new view of who has its own state declared the group's, since all are gone who had said that they have it; all others start over. -1: nobody
}

// Change carries the table over to the next view of the ring. It returns the
// groups that have lost members, by number.
func (t *Table[L]) Change(next membership.View) (shifts []Shift[L]) {
	to := make([]int, len(t.view.Members)) // rank in next, or -1
	for r, m := range t.view.Members {
		to[r] = next.Rank(m.ID)
	}
	t.view = next
	for _, g := range t.list {
		if g.Members == 0 {
			continue
		}
		members, lost := move(g.Members, to)
		t.reorder(g, g.Order.move(to))
		g.Stateful, _ = move(g.Stateful, to)
		ready, gone := move(g.Ready, to)
		g.Members, g.Ready = members, ready
		if lost == 0 {
			continue
		}
		t.shrink(g, members)
		s := Shift[L]{Group: g, Lost: lost, Fresh: -1}
		if ready == 0 && gone != 0 && g.Stateful != 0 {
			s.Fresh = donor(g.Stateful)
			g.Ready = 1 << s.Fresh
		}
		shifts = append(shifts, s)
	}
	return shifts
}

// move renumbers a set of ranks, and returns which of them have no number any more.
func move(set uint64, to []int) (moved, lost uint64) {
	for ; set != 0; set &= set - 1 {
		r := bits.TrailingZeros64(set)
		if to[r] < 0 {
			lost |= 1 << r
		} else {
			moved |= 1 << to[r]
		}
	}
	return moved, lost
}

// ErrTable is returned for a malformed table.
var ErrTable = errors.New("groups: malformed table")

// Append appends the table's bytes to b, without what its holder keeps.
func (t *Table[L]) Append(b []byte) []byte {
	b = le.AppendUint32(b, t.next)
	b = le.AppendUint32(b, uint32(len(t.byName)))
	for _, g := range t.list {
		if g.Members != 0 {
			b = g.append(b)
		}
	}
	return b
}

// entrySize is what a group takes in a table's bytes, its name and its order.
const entrySize = 4 + 4*8 + 2

// size is how many bytes append writes.
func (g *Group[L]) size() int { return entrySize + len(g.Name) + len(g.Order) }

func (g *Group[L]) append(b []byte) []byte {
	b = le.AppendUint32(b, g.ID)
	b = le.AppendUint64(b, g.Views)
	b = le.AppendUint64(b, g.Members)
	b = le.AppendUint64(b, g.Stateful)
	b = le.AppendUint64(b, g.Ready)
	b = append(b, byte(len(g.Name)), byte(len(g.Order)))
	return append(append(b, g.Name...), g.Order...)
}

// parseGroup reads a group off b; nil if there is none.
func parseGroup[L any](b []byte) (g *Group[L], rest []byte) {
	if len(b) < entrySize || len(b) < entrySize+int(b[entrySize-2])+int(b[entrySize-1]) {
		return nil, b
	}
	g = &Group[L]{ID: le.Uint32(b), Views: le.Uint64(b[4:]), Members: le.Uint64(b[12:]), Stateful: le.Uint64(b[20:]), Ready: le.Uint64(b[28:])}
	name := entrySize + int(b[entrySize-2])
	size := name + int(b[entrySize-1])
	g.Name, g.Order = string(b[entrySize:name]), Order(b[name:size])
	return g, b[size:]
}

// Parse reads the table of a ring that is in view v. What it allocates is in
// proportion to b, whatever that says.
func Parse[L any](v membership.View, b []byte) (*Table[L], error) {
	if len(b) < 8 {
		return nil, ErrTable
	}
	t := New[L](v)
	t.next = le.Uint32(b)
	count := le.Uint32(b[4:])
	b = b[8:]
	for last := uint32(0); count > 0; count-- {
		var g *Group[L]
		if g, b = parseGroup[L](b); g == nil || g.ID <= last || !t.fits(g) {
			return nil, ErrTable
		}
		last = g.ID
		t.add(g)
	}
	if len(b) != 0 {
		return nil, ErrTable
	}
	return t, nil
}

// fits tells whether a group can be in this table.
func (t *Table[L]) fits(g *Group[L]) bool {
	all := ^uint64(0) >> (membership.MaxMembers - len(t.view.Members))
	switch {
	case g.Name == "" || t.Find(g.Name) != nil, t.next != 0 && g.ID >= t.next:
		return false
	case g.Members == 0 || g.Members&^all != 0 || !g.Order.fits(g.Members):
		return false
	}
	return g.Stateful&^g.Members == 0 && g.Ready&^g.Stateful == 0
}

// All returns the groups that have members, by number.
func (t *Table[L]) All() []*Group[L] {
	all := make([]*Group[L], 0, len(t.byName))
	for _, g := range t.list {
		if g.Members != 0 {
			all = append(all, g)
		}
	}
	return all
}
