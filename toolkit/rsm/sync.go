package rsm

import (
	"fmt"
	"slices"

	"cohort/engine"
	"cohort/toolkit"
)

// keep has a command written to the disk.
func (m *machine) keep(message []byte) {
	d := m.disk
	if d == nil {
		return
	}
	d.add(job{mark: mark{d.epoch, m.position}, record: slices.Clone(message)})
	if d.logged += len(message); d.logged >= d.cfg.LogLimit {
		_ = m.save() // else the log grows; the next command tries again
	}
}

// save has the state written to the disk, in place of all that is there.
func (m *machine) save() error {
	r, err := m.state()
	if err != nil {
		return fmt.Errorf("the application's state of position %d: %w", m.position, err)
	}
	m.disk.logged = 0
	m.disk.add(job{mark: mark{m.disk.epoch, m.position}, state: r})
	return nil
}

// rebase is save where the disk has another history. Records must not follow that one, so
// an error is like one of the storage.
func (m *machine) rebase() {
	if err := m.save(); err != nil {
		m.disk.add(job{err: err})
	}
}

// whenDurable has done called once the position is on a majority of the disks; at once
// if there are none.
func (m *machine) whenDurable(position uint64, done func(error)) {
	if m.disk == nil || position <= m.disk.durable() {
		done(nil)
		return
	}
	m.disk.held = append(m.disk.held, held{position, done})
}

// durable is up to where a majority of the disks has it all.
func (d *disk) durable() uint64 {
	list := make([]uint64, d.cfg.Disks)
	for i, id := range d.order[:min(len(d.order), len(list))] {
		if k := d.others[id]; k.epoch == d.epoch {
			list[i] = k.position
		}
	}
	slices.Sort(list)
	return list[len(list)-majority(d.cfg.Disks)]
}

func majority(n int) int { return n/2 + 1 }

// wrote notes that a job is done, and tells the others.
func (m *machine) wrote(j job, out toolkit.Out) {
	if d := m.disk; j.promise > 0 {
		d.promised = max(d.promised, j.promise)
	} else {
		d.synced = j.mark
	}
	m.report(out)
}

// report tells the others how far this member's disk is.
func (m *machine) report(out toolkit.Out) {
	d := m.disk
	switch {
	case m.away || d.surplus:
	case d.running:
		out.Send(engine.FIFO, appendNumbers(nil, tagSynced, d.synced.epoch, d.synced.position))
	case d.told && d.promised > 0:
		out.Send(m.level, appendNumbers(nil, tagPromised, d.promised))
	}
}

func (m *machine) heardSynced(from uint64, b []byte) {
	var k mark
	if _, ok := numbers(b, &k.epoch, &k.position); !ok || m.disk == nil {
		return
	}
	m.disk.others[from] = k
	m.release()
}

// release ends the waiting for what has come to be durable.
func (m *machine) release() {
	d := m.disk
	if len(d.held) == 0 {
		return
	}
	durable := d.durable()
	var ready []held
	d.held = slices.DeleteFunc(d.held, func(h held) bool {
		if h.position <= durable {
			ready = append(ready, h)
		}
		return h.position <= durable
	})
	for _, h := range ready {
		h.done(nil)
	}
}
