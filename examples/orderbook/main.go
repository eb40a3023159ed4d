// Command orderbook is an exchange whose order book survives its members: three processes
// have a copy each, and traders at all of them send limit orders. One is killed, a new one
// gets the book and takes over its traders, and at the end all have made the same trades.
//
//	go run ./examples/orderbook
//	go run ./examples/orderbook -for 5s -every 500us
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"cohort/engine"
	"cohort/toolkit/rsm"
)

const members = 3

type options struct {
	member, traders string
	iface, cluster  string
	every, length   time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.member, "member", "", "be a member with this name until standard input ends; it takes the words sum and stop")
	flag.StringVar(&o.traders, "traders", "", "member: names of its traders, with commas between")
	flag.StringVar(&o.iface, "interface", "lo", "network interface, by name or address")
	flag.StringVar(&o.cluster, "cluster", fmt.Sprint("orderbook-", os.Getpid()), "name of the ring")
	flag.DurationVar(&o.every, "every", 5*time.Millisecond, "time from order to order of each trader")
	flag.DurationVar(&o.length, "for", 2*time.Second, "time before a member is killed, and after the new one is in")
	flag.Parse()
	err := fmt.Errorf("%q: want flags only", flag.Arg(0))
	if flag.NArg() == 0 {
		err = run(context.Background(), o, os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "orderbook:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, in io.Reader, out io.Writer) error {
	if o.every <= 0 || o.length <= 0 {
		return fmt.Errorf("-every %v and -for %v, want both more than 0", o.every, o.length)
	}
	if o.member == "" {
		return demo(ctx, o, out)
	}
	return take(ctx, o, in, out)
}

// take takes part. Each line that it writes begins with a word that says what it is.
func take(ctx context.Context, o options, in io.Reader, out io.Writer) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	words := make(chan string)
	go func() {
		defer cancel()
		for s := bufio.NewScanner(in); s.Scan(); {
			select {
			case words <- s.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	node, err := engine.Open(ctx, engine.Config{
		Cluster: o.cluster, Name: o.member, Interface: o.iface, Expect: members, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Close()) }()
	return serve(ctx, node, o, words, out)
}

// serve joins, has the traders trade, and does what the words say.
func serve(ctx context.Context, node *engine.Node, o options, words <-chan string, out io.Writer) (err error) {
	traders := strings.FieldsFunc(o.traders, func(c rune) bool { return c == ',' })
	d := &desk{book: newBook(), every: o.every, out: out, trading: len(traders), ended: make(chan error, len(traders))}
	if d.replica, err = rsm.Join(ctx, node, "orderbook", d.book); err != nil {
		return err
	}
	var trades int
	d.replica.ReadLocal(func() { trades = d.book.Trades })
	fmt.Fprintln(out, "in", trades)
	open, end := context.WithCancel(ctx)
	defer end()
	for _, name := range traders {
		go func() { d.ended <- d.trade(ctx, open.Done(), name) }()
	}
	for {
		select {
		case word := <-words:
			if err := d.obey(ctx, word, end); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// desk is a member's copy of the book, and its traders.
type desk struct {
	replica *rsm.Replica
	book    *book // the replica's
	every   time.Duration
	out     io.Writer
	trading int        // traders who have not been waited for
	ended   chan error // of each trader
}

// obey does what a line says; end has the traders end.
func (d *desk) obey(ctx context.Context, word string, end func()) (err error) {
	switch word {
	case "stop":
		end()
		for ; d.trading > 0; d.trading-- {
			err = errors.Join(err, <-d.ended)
		}
		fmt.Fprintln(d.out, "stopped")
	case "sum":
		var s sum
		if err = d.replica.Read(ctx, func() { s = sumUp(d.book) }); err != nil {
			return err
		}
		var line []byte
		if line, err = json.Marshal(s); err == nil {
			fmt.Fprintf(d.out, "sum %s\n", line)
		}
	default:
		err = fmt.Errorf("%q, want sum or stop", word)
	}
	return err
}

// trade sends one order at a time. The first follows the last that the book has of this
// trader, whose former member has failed: nothing of it comes after the view without it.
func (d *desk) trade(ctx context.Context, end <-chan struct{}, name string) error {
	var num int
	if err := d.replica.Read(ctx, func() { num = d.book.Orders[name] }); err != nil {
		return err
	}
	for clock := time.NewTicker(d.every); ; {
		select {
		case <-clock.C:
		case <-end:
			return nil
		}
		num++
		command, err := json.Marshal(draw(name, num))
		if err != nil {
			return err
		}
		result, err := d.replica.Propose(ctx, command)
		if err != nil {
			return fmt.Errorf("order %d of %s: %w", num, name, err)
		}
		if strings.HasPrefix(string(result), refused) {
			return errors.New(string(result))
		}
		fmt.Fprintln(d.out, "ack", name)
	}
}

// draw is what a trader thinks of: somewhat less than 100.00 to buy, more to sell.
func draw(name string, num int) order {
	o := order{Trader: name, Num: num, Buy: rand.IntN(2) == 0, Price: 9983 + rand.IntN(31), Quantity: 1 + rand.IntN(20)}
	if !o.Buy {
		o.Price += 4
	}
	return o
}
