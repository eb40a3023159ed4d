package rsm_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"strings"
	"time"

	"cohort/engine"
	"cohort/toolkit/rsm"
)

// list is an application: lines in the order in which they were appended.
type list struct{ lines []string }

func (l *list) Apply(command []byte) []byte {
	l.lines = append(l.lines, string(command))
	return fmt.Append(nil, len(l.lines))
}

func (l *list) Snapshot() (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(strings.Join(l.lines, "\n"))), nil
}

func (l *list) Restore(r io.Reader) error {
	b, err := io.ReadAll(r)
	l.lines = strings.FieldsFunc(string(b), func(c rune) bool { return c == '\n' })
	return err
}

func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	node, err := engine.Open(ctx, engine.Config{
		Cluster: fmt.Sprint("example-rsm", os.Getpid()), Interface: "lo", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	lines := &list{}
	replica, err := rsm.Join(ctx, node, "lines", lines)
	if err != nil {
		log.Fatal(err)
	}
	for _, l := range []string{"first", "second"} {
		count, err := replica.Propose(ctx, []byte(l))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s lines\n", count)
	}
	if err := replica.Read(ctx, func() { fmt.Println(lines.lines) }); err != nil {
		log.Fatal(err)
	}
	// Output:
	// 1 lines
	// 2 lines
	// [first second]
}
