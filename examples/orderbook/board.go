package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// sum is what all members have to agree on, and the book as people see it.
type sum struct {
	Trades  int
	Digest  string
	Bid     level
	Ask     level
	Orders  map[string]int
	Refused int
	Board   string
}

// sumUp shares nothing with the book.
func sumUp(b *book) sum {
	s := sum{Trades: b.Trades, Digest: fmt.Sprintf("%x", b.Digest[:8]), Orders: maps.Clone(b.Orders), Refused: b.Refused, Board: b.String()}
	if len(b.Bids) > 0 {
		s.Bid = levels(b.Bids)[0]
	}
	if len(b.Asks) > 0 {
		s.Ask = levels(b.Asks)[0]
	}
	return s
}

// level is all that waits at a price.
type level struct{ Price, Quantity int }

// levels gives the best few.
func levels(side []order) (list []level) {
	for _, o := range side {
		if n := len(list); n > 0 && list[n-1].Price == o.Price {
			list[n-1].Quantity += o.Quantity
			continue
		}
		if len(list) == shown {
			break
		}
		list = append(list, level{o.Price, o.Quantity})
	}
	return list
}

// String draws the book as traders like it, and the last trades.
func (b *book) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%12s %8s  %s\n", "bids", "price", "asks")
	asks, bids := levels(b.Asks), levels(b.Bids)
	for _, l := range slices.Backward(asks) {
		fmt.Fprintf(&s, "%12s %8s  %d\n", "", money(l.Price), l.Quantity)
	}
	fmt.Fprintf(&s, "%12s --------\n", "")
	for _, l := range bids {
		fmt.Fprintf(&s, "%12d %8s\n", l.Quantity, money(l.Price))
	}
	for _, t := range b.Last {
		fmt.Fprintf(&s, "    %v\n", t)
	}
	return s.String()
}
