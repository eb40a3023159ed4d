package rsm

import (
	"errors"
	"io"
	"strings"
	"testing"

	"cohort/internal/testring"
)

type closed struct {
	io.Reader
	times int
}

func (c *closed) Close() error { c.times++; return nil }

// TestBrokenStorageTakesNothing: what cannot be written any more is not kept.
func TestBrokenStorageTakesNothing(t *testing.T) {
	d, err := newDisk(Durability{Storage: &memory{}, Disks: 1})
	if err != nil {
		t.Fatal(err)
	}
	var states [2]closed
	for i := range states {
		states[i].Reader = strings.NewReader("state")
		d.add(job{state: &states[i]})
		d.add(job{record: []byte("record")})
		if i == 0 {
			d.fail()
		}
	}
	if len(d.jobs) != 0 || states[0].times != 1 || states[1].times != 1 {
		t.Errorf("%d jobs wait, states closed %d and %d times", len(d.jobs), states[0].times, states[1].times)
	}
}

// failing is a storage that takes no records.
type failing struct{ memory }

var errFull = errors.New("disk full")

func (f *failing) Append([][]byte) error { return errFull }

// TestStorageFails: who proposes is told why, and nothing piles up.
func TestStorageFails(t *testing.T) {
	node := testring.Open(t, 1, testring.Timeout)[0]
	r, err := JoinDurable(testring.Patient(t), node, "g", &journal{}, Durability{Storage: &failing{}, Disks: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Propose(testring.Patient(t), []byte("x")); !errors.Is(err, errFull) {
		t.Errorf("%v, want %v", err, errFull)
	}
	r.host.Look(func(m *machine) {
		if !m.disk.broken || len(m.disk.jobs) != 0 {
			t.Errorf("broken: %v, %d jobs wait", m.disk.broken, len(m.disk.jobs))
		}
	})
}
