package main

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestMatching: the best price first, then the oldest, at the price of who waits.
func TestMatching(t *testing.T) {
	b := newBook()
	for _, c := range []struct {
		order  order
		traded string
		trades []trade // the last ones
	}{
		{order{"ann", 1, false, 101, 5}, "0", nil},
		{order{"bob", 1, false, 100, 5}, "0", nil},
		{order{"cy", 1, false, 100, 5}, "0", nil},
		{order{"dora", 1, true, 99, 4}, "0", nil},                                                        // no seller is so cheap
		{order{"eve", 1, true, 102, 7}, "7", []trade{{"eve", "bob", 100, 5}, {"eve", "cy", 100, 2}}},     // oldest of the best, then the next
		{order{"eve", 2, true, 101, 10}, "8", []trade{{"eve", "cy", 100, 3}, {"eve", "ann", 101, 5}}},    // the rest, 2 at 101, waits
		{order{"finn", 1, false, 99, 3}, "3", []trade{{"eve", "finn", 101, 2}, {"dora", "finn", 99, 1}}}, // at the buyers' prices
	} {
		before := b.Trades
		if got := apply(t, b, c.order); got != c.traded {
			t.Errorf("%+v: %s traded, want %s", c.order, got, c.traded)
		}
		if got := b.Last[len(b.Last)-(b.Trades-before):]; !slices.Equal(got, c.trades) {
			t.Errorf("%+v: %v, want %v", c.order, got, c.trades)
		}
	}
	if len(b.Asks) != 0 || !reflect.DeepEqual(levels(b.Bids), []level{{99, 3}}) {
		t.Errorf("asks %v and bids %v are left, want 3 bids at 99", b.Asks, b.Bids)
	}
}

func apply(t *testing.T, b *book, o order) string {
	command, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(b.Apply(command))
}

// TestRefused: what comes twice, early or malformed changes nothing but the count of it.
func TestRefused(t *testing.T) {
	b := newBook()
	apply(t, b, order{"ann", 1, true, 100, 5})
	for i, c := range []string{
		`{"Trader":"ann","Num":1,"Buy":true,"Price":100,"Quantity":5}`, `{"Trader":"ann","Num":3,"Price":100,"Quantity":5}`,
		`{"Trader":"ann","Num":2,"Price":100,"Quantity":0}`, `{"Trader":"ann","Num":2,"Price":-1,"Quantity":5}`, `{"Trader":`, ``,
	} {
		if got := string(b.Apply([]byte(c))); !strings.HasPrefix(got, refused) || b.Refused != i+1 {
			t.Errorf("%s: %s, %d refused", c, got, b.Refused)
		}
	}
	if len(b.Bids) != 1 || b.Trades != 0 || b.Orders["ann"] != 1 {
		t.Errorf("the book is %+v", b)
	}
}

// TestRandom: nobody waits who could trade, each side is in order, what is asked is traded
// or waits, and a copy that begins with a snapshot goes on alike.
func TestRandom(t *testing.T) {
	const orders, half = 2000, 1000
	b, late := newBook(), newBook()
	asked, traded := 0, 0
	for num := range orders {
		o := draw("ann", num+1)
		result := apply(t, b, o)
		n, err := strconv.Atoi(result)
		if err != nil {
			t.Fatal(err)
		}
		asked, traded = asked+o.Quantity, traded+2*n // of who came and of who waited
		if num >= half && apply(t, late, o) != result {
			t.Fatalf("order %d has another result at the copy", num)
		}
		if waits := check(t, b); asked != traded+waits {
			t.Fatalf("%d asked, %d traded, %d wait", asked, traded, waits)
		}
		if num == half-1 {
			r, err := b.Snapshot()
			if err == nil {
				err = late.Restore(r)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if !reflect.DeepEqual(b, late) || b.Trades == 0 {
		t.Errorf("%v\nand the copy\n%v", b, late)
	}
}

// check returns how much waits.
func check(t *testing.T, b *book) (waits int) {
	t.Helper()
	if len(b.Bids) > 0 && len(b.Asks) > 0 && b.Bids[0].Price >= b.Asks[0].Price {
		t.Fatalf("bid %+v and ask %+v do not trade", b.Bids[0], b.Asks[0])
	}
	for _, side := range [][]order{b.Bids, b.Asks} {
		for i, o := range side {
			waits += o.Quantity
			if i == 0 {
				continue
			}
			if p := side[i-1]; p.Price == o.Price && p.Num > o.Num || o.Buy && p.Price < o.Price || !o.Buy && p.Price > o.Price {
				t.Fatalf("%+v waits before %+v", p, o)
			}
		}
	}
	return waits
}
