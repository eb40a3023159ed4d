package lock

import (
	"bytes"
	"cmp"
	"fmt"
	"io"

	"cohort/toolkit"
)

// variables are replicated, and updated only by who has the lock of their name.
type variables struct {
	values   map[string]uint64
	last     map[string]update
	disorder error // an update came that was sent before one that had come
}

// update is one change, in the order in which they were made.
type update struct{ token, num uint64 }

func newVariables() variables {
	return variables{values: map[string]uint64{}, last: map[string]update{}}
}

const tagUpdate = 9 // beside the lock's own

func (u *user) update(c *claim, out toolkit.Out) {
	if c.capacity > 1 {
		return // it does not keep others out
	}
	b := le.AppendUint64([]byte{tagUpdate}, c.grant.Token)
	out.Send(u.updates, append(le.AppendUint64(b, uint64(u.next[c])), c.name...))
}

// Deliver carries out updates, which do not commute, and leaves the rest to the locks.
func (u *user) Deliver(k toolkit.Message, out toolkit.Out) {
	if k.Payload[0] != tagUpdate {
		u.machine.Deliver(k, out)
		return
	}
	now, name := update{le.Uint64(k.Payload[1:]), le.Uint64(k.Payload[9:])}, string(k.Payload[17:])
	was := u.last[name]
	if cmp.Or(cmp.Compare(now.token, was.token), cmp.Compare(now.num, was.num)) <= 0 {
		u.disorder = fmt.Errorf("at %d update %+v of %q comes after %+v", u.self, now, name, was)
	}
	u.last[name] = now
	u.values[name] = u.values[name]*31 + now.token*7 + now.num
}

// Snapshot has the variables before the locks.
func (u *user) Snapshot() (io.ReadCloser, error) {
	b := le.AppendUint64(le.AppendUint64(nil, u.values["a"]), u.values["b"])
	return io.NopCloser(bytes.NewReader(appendState(b, u.count, u.all()))), nil
}

func (u *user) Restore(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	u.values["a"], u.values["b"] = le.Uint64(b), le.Uint64(b[8:])
	clear(u.last)
	if b = b[16:]; u.forgets {
		b = appendState(nil, le.Uint64(b), nil)
	}
	return u.machine.Restore(bytes.NewReader(b))
}
