// Command chat is a room on a terminal: every member sees the same lines in the same
// order, and who comes and goes between the same two of them.
//
//	go run ./examples/chat -name ann     # and in another terminal
//	go run ./examples/chat -name bob
//
// /who says who is there; /quit, or the end of the input, leaves.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"cohort/engine"
	"cohort/membership"
)

func main() {
	cfg := engine.Config{Lone: true, Logger: slog.New(slog.DiscardHandler)} // whoever is left goes on talking
	flag.StringVar(&cfg.Name, "name", os.Getenv("USER"), "who you are")
	flag.StringVar(&cfg.Cluster, "room", "chat", "which room")
	flag.StringVar(&cfg.Interface, "interface", "lo", "interface to use, by name or address")
	flag.Parse()
	err := fmt.Errorf("%q: want flags only", flag.Arg(0))
	if flag.NArg() == 0 {
		err = chat(context.Background(), cfg, os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chat:", err)
		os.Exit(1)
	}
}

// chat takes part until the input ends.
func chat(ctx context.Context, cfg engine.Config, in io.Reader, out io.Writer) (err error) {
	if cfg.Name == "" || strings.ContainsAny(cfg.Name, "\n\r\x1b") {
		return fmt.Errorf("-name %q: want a name", cfg.Name)
	}
	node, err := engine.Open(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Close()) }()                     // waits for what was said
	group, err := node.Join(ctx, "room", engine.Queued(&room{out: out}, 1<<16)) // a terminal may be slow
	if err != nil {
		return err
	}
	for lines := bufio.NewScanner(in); lines.Scan(); {
		switch line := strings.TrimSpace(lines.Text()); line {
		case "":
		case "/quit":
			return nil
		default:
			if err := say(ctx, group, line); err != nil {
				return err
			}
		}
	}
	return nil
}

// say sends a line. One that is said while the others go on without us is lost, and the
// room says why.
func say(ctx context.Context, group *engine.Group, line string) error {
	err := group.Send(ctx, engine.Total, []byte(line))
	if errors.Is(err, engine.ErrExpelled) { // that passes
		return nil
	}
	return err
}

// room prints what happens in it.
type room struct {
	out io.Writer
	now engine.GroupView
}

// Deliver prints a line, or answers one's own /who.
func (r *room) Deliver(m *engine.Message) {
	line := printable(m.Payload)
	if line == "/who" {
		fmt.Fprintf(r.out, "* %s asks who is here: %s\n", m.From().Name, names(r.now.Members))
		return
	}
	fmt.Fprintf(r.out, "%s: %s\n", m.From().Name, line)
}

// View prints who has come and who has gone.
func (r *room) View(v engine.GroupView) {
	first := len(r.now.Members) == 0
	switch {
	case v.Expelled:
		fmt.Fprintln(r.out, "* you have been away for too long, and what you said last may be lost")
	case first:
		fmt.Fprintf(r.out, "* you are in the room: %s\n", names(v.Members))
	default:
		for _, k := range v.Joined {
			fmt.Fprintf(r.out, "* %s comes in: %s\n", v.Members[k].Name, names(v.Members))
		}
	}
	for _, d := range v.Left {
		how := "is lost"
		if d.Reason == membership.Left {
			how = "leaves"
		}
		fmt.Fprintf(r.out, "* %s %s: %s\n", d.Name, how, names(v.Members))
	}
	r.now = v
}

func names(members []membership.Member) string {
	var list []string
	for _, m := range members {
		list = append(list, m.Name)
	}
	return strings.Join(list, ", ")
}

// printable leaves out what would do something to a terminal.
func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return -1
		}
		return r
	}, string(b))
}
