package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// order is to buy or sell so many at this price, in cents, or a better one.
type order struct {
	Trader   string
	Num      int // counts the trader's orders from 1
	Buy      bool
	Price    int
	Quantity int
}

type trade struct {
	Buyer, Seller   string
	Price, Quantity int
}

func (t trade) String() string {
	return fmt.Sprintf("%s buys %d from %s at %s", t.Buyer, t.Quantity, t.Seller, money(t.Price))
}

func money(cents int) string { return fmt.Sprintf("%d.%02d", cents/100, cents%100) }

// book is the replicated state: what waits, best first and of equal price oldest first,
// and what has been traded.
type book struct {
	Bids, Asks []order
	Last       []trade // the last few
	Trades     int
	Digest     [sha256.Size]byte // of all trades: each is hashed after the digest of those before
	Orders     map[string]int    // taken from each trader
	Refused    int               // malformed, or not the trader's next: one came twice, or one is missing
}

const shown = 5 // trades and prices

func newBook() *book { return &book{Orders: map[string]int{}} }

// Apply takes an order and returns how many were traded at once, or why it is refused.
func (b *book) Apply(command []byte) []byte {
	var o order
	err := json.Unmarshal(command, &o)
	switch {
	case err != nil:
	case o.Price <= 0 || o.Quantity <= 0:
		err = fmt.Errorf("%d at %d cents, want both more than 0", o.Quantity, o.Price)
	case o.Num != b.Orders[o.Trader]+1:
		err = fmt.Errorf("order %d of %s, want %d", o.Num, o.Trader, b.Orders[o.Trader]+1)
	}
	if err != nil {
		b.Refused++
		return fmt.Append(nil, refused, err)
	}
	b.Orders[o.Trader]++
	return fmt.Append(nil, b.match(o))
}

const refused = "refused: "

// match trades with the best that waits, at its price, and has the rest wait.
func (b *book) match(o order) (traded int) {
	mine, theirs := &b.Bids, &b.Asks
	if !o.Buy {
		mine, theirs = theirs, mine
	}
	for o.Quantity > 0 && len(*theirs) > 0 {
		best := &(*theirs)[0]
		if o.Buy && best.Price > o.Price || !o.Buy && best.Price < o.Price {
			break
		}
		n := min(o.Quantity, best.Quantity)
		t := trade{o.Trader, best.Trader, best.Price, n}
		if !o.Buy {
			t.Buyer, t.Seller = t.Seller, t.Buyer
		}
		b.note(t)
		traded += n
		o.Quantity -= n
		if best.Quantity -= n; best.Quantity == 0 {
			*theirs = slices.Delete(*theirs, 0, 1)
		}
	}
	if o.Quantity > 0 {
		*mine = slices.Insert(*mine, place(*mine, o), o)
	}
	return traded
}

// place is behind all that are as good.
func place(side []order, o order) int {
	at := slices.IndexFunc(side, func(w order) bool { return o.Buy && w.Price < o.Price || !o.Buy && w.Price > o.Price })
	if at < 0 {
		return len(side)
	}
	return at
}

func (b *book) note(t trade) {
	b.Trades++
	b.Digest = sha256.Sum256(fmt.Append(b.Digest[:], t))
	b.Last = append(b.Last, t)
	b.Last = b.Last[max(0, len(b.Last)-shown):]
}

// Snapshot gives the whole book, as JSON.
func (b *book) Snapshot() (io.ReadCloser, error) {
	state, err := json.Marshal(b)
	return io.NopCloser(strings.NewReader(string(state))), err
}

// Restore takes it.
func (b *book) Restore(r io.Reader) error {
	next := newBook()
	if err := json.NewDecoder(r).Decode(next); err != nil {
		return fmt.Errorf("the book: %w", err)
	}
	*b = *next
	return nil
}
