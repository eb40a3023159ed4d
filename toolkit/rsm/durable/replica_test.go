package durable

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"cohort/engine"
	"cohort/internal/testring"
	"cohort/toolkit/rsm"
)

// counter is an application: how many commands there were.
type counter struct{ N int }

func (c *counter) Apply([]byte) []byte {
	c.N++
	return fmt.Append(nil, c.N)
}

func (c *counter) Snapshot() (io.ReadCloser, error) {
	b, err := json.Marshal(c)
	return io.NopCloser(strings.NewReader(string(b))), err
}

func (c *counter) Restore(r io.Reader) error { return json.NewDecoder(r).Decode(c) }

// TestLogOfTheNextNode: a log that a replica has written to is refused by the next, and
// keeps what was acknowledged.
func TestLogOfTheNextNode(t *testing.T) {
	join := func(l *Log) (*engine.Node, *rsm.Replica, *counter, error) {
		node, app := testring.Open(t, 1, testring.Timeout)[0], &counter{}
		r, err := rsm.JoinDurable(testring.Patient(t), node, "g", app, rsm.Durability{Storage: l, Disks: 1})
		return node, r, app, err
	}
	l := open(t, t.TempDir())
	node, r, _, err := join(l)
	ok(t, err)
	for range 3 {
		_, err := r.Propose(testring.Patient(t), []byte("x"))
		ok(t, err)
	}
	ok(t, node.Close())
	if _, _, _, err := join(l); !errors.Is(err, engine.ErrConfig) {
		t.Errorf("%v, want ErrConfig", err)
	}
	ok(t, l.Close())
	_, r, app, err := join(open(t, l.dir))
	ok(t, err)
	n := 0
	ok(t, r.Read(testring.Patient(t), func() { n = app.N }))
	if n != 3 {
		t.Errorf("opened anew there are %d commands, want 3", n)
	}
}
