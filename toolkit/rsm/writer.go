package rsm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cohort/engine"
	"cohort/toolkit"
)

// JoinDurable is Join for a group that survives that all its members fail at once. All of
// its members must join it so. Propose waits until a majority of the disks is there for
// the first time, and then each time until a majority of them has the command: what waits
// meanwhile shares one write. Reads wait for what they have seen to be there.
//
// Errors are those of Join; those that wrap engine.ErrConfig: for a bad Durability, and for
// a storage that another replica has written to since it was opened; and those of a state
// that cannot be read.
//
// With more members than disks it waits for one to fail, and then says ErrDisks. With an
// error the storage is the caller's again.
func JoinDurable(ctx context.Context, node *engine.Node, name string, app Application, cfg Durability) (*Replica, error) {
	m, err := newMachine(app)
	if err != nil {
		return nil, err
	}
	if m.disk, err = newDisk(cfg); err != nil {
		return nil, err
	}
	if err := m.load(cfg.Storage.Stored()); err != nil {
		return nil, err
	}
	r, err := join(ctx, node, name, m)
	if err != nil {
		m.disk.close()
		return nil, err
	}
	go r.write(m.disk)
	if err := r.host.Await(ctx, func(m *machine) (bool, error) { return !m.disk.surplus, nil }); err != nil {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoWithin)
		defer cancel()
		m.disk.close()
		_ = r.Leave(undo) // nobody has it
		<-r.released
		return nil, fmt.Errorf("rsm: group %q, %d disks: %w: %w", name, cfg.Disks, ErrDisks, err)
	}
	return r, nil
}

// undoWithin bounds how long a JoinDurable that failed waits until the group is left, where
// that does not go on.
const undoWithin = time.Second

// write does what there is to do for the storage, all that waits at a time, until the
// node is closed, the group left, the disk closed, or the storage fails.
func (r *Replica) write(d *disk) {
	defer close(r.released)
	err := r.storeAll(d)
	d.close()
	if err != nil {
		r.reason = fmt.Errorf("storing: %w", err)
		close(r.broken)
		r.host.Post(func(*machine, toolkit.Out) {}) // wakes those in present
	}
}

func (r *Replica) storeAll(d *disk) error {
	for {
		select {
		case <-d.wake:
		case <-r.node.Done():
			return nil
		case <-r.host.Group().Gone():
			return nil
		}
		jobs, ok := d.take()
		if !ok {
			return nil
		}
		if err := r.store(d.cfg.Storage, jobs); err != nil {
			return err
		}
	}
}

// store does jobs in their order, and tells the others of each step.
func (r *Replica) store(s Storage, jobs []job) error {
	for len(jobs) > 0 {
		k, n, err := some(s, jobs)
		jobs = jobs[n:]
		if err != nil {
			drop(jobs)
			return err
		}
		r.host.Post(func(m *machine, out toolkit.Out) { m.wrote(k, out) })
	}
	return nil
}

// some does the first job, and those that can share its write: n in all, of which it
// returns the last.
func some(s Storage, jobs []job) (k job, n int, err error) {
	switch k = jobs[0]; {
	case k.err != nil:
		return k, 1, k.err
	case k.promise > 0:
		return k, 1, s.Promise(k.promise)
	case k.state != nil:
		err = s.Save(k.epoch, k.position, k.state)
		return k, 1, errors.Join(err, k.state.Close())
	}
	var records [][]byte
	for n < len(jobs) && jobs[n].record != nil {
		records = append(records, jobs[n].record)
		k = jobs[n]
		n++
	}
	return k, n, s.Append(records)
}
