package rsm

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"cohort/engine"
	"cohort/toolkit"
)

// How a group begins that has disks. Each member tells what its disk has. Once a
// majority has, or all, they put the next epoch on their disks, and say so. Of a majority
// that has promised, the one with the newest state sends it to all, itself too, and with
// its last part the group is running. What was acknowledged was on a majority of the
// disks, of which one is among those: what it has is the newest, or has as much. This is
// Skeen's rule ("Determining the last process to fail", 1985) where a majority stands for
// the last to fail, and the epochs are the ballots of Paxos.
//
// All of it but the promises goes through the safe total order, so all do the same.

// chunk is how much of the state a message carries, bytes.
const chunk = 1 << 20

// maxSeed bounds a state, bytes: it is in memory while a group begins.
const maxSeed uint64 = 4 << 30

func (m *machine) load(s Stored) error {
	d := m.disk
	d.promised, d.promising, d.epoch = s.Promise, s.Promise, s.Epoch
	switch {
	case s.State == nil && s.Epoch > 0: // not empty: the initial state would replace what was acknowledged
		return fmt.Errorf("rsm: %w: the storage has been written to since it was opened, want one opened anew", engine.ErrConfig)
	case s.State == nil:
		if err := m.save(); err != nil {
			return fmt.Errorf("rsm: %w", err)
		}
		return nil
	}
	if err := m.take(bufio.NewReader(bytes.NewReader(s.State))); err != nil {
		return fmt.Errorf("rsm: the stored state of position %d: %w", s.Position, err)
	}
	for i, b := range s.Records {
		id, command, ok := parseCommand(b)
		if !ok {
			return fmt.Errorf("rsm: the stored record of position %d has %d bytes, want at least %d", s.Position+uint64(i)+1, len(b), commandHead)
		}
		m.execute(id, command)
		d.logged += len(b)
	}
	d.synced = mark{d.epoch, m.position}
	return nil
}

// begin starts anew, with nothing but what the disks have.
func (d *disk) begin() {
	d.running, d.told, d.haves, d.electing = false, false, nil, 0
	d.seeder, d.seed = 0, nil
}

// diskView takes a view of a group with disks.
func (m *machine) diskView(v toolkit.View, out toolkit.Out) {
	d := m.disk
	if v.Expelled {
		return
	}
	if v.Fresh {
		d.begin()
	}
	d.order = d.order[:0]
	for _, k := range v.Members {
		d.order = append(d.order, k.ID)
	}
	for id := range d.others {
		if !slices.Contains(d.order, id) {
			delete(d.others, id)
		}
	}
	d.haves = slices.DeleteFunc(d.haves, func(h have) bool { return !slices.Contains(d.order, h.member) })
	if !slices.Contains(d.order, d.seeder) {
		d.seeder, d.seed = 0, nil
	}
	d.surplus = slices.Index(d.order, v.Self) >= d.cfg.Disks
	if v.Blocked || d.surplus {
		return
	}
	if d.fresh {
		d.fresh = false
		m.rebase()
	}
	if !d.running && !d.told {
		d.told = true
		alone := uint64(0)
		if d.cfg.Alone {
			alone = 1
		}
		out.Send(m.level, appendNumbers(nil, tagHave, d.promised, d.epoch, m.position, alone))
	}
	m.report(out)
	m.step(out)
}

func (m *machine) heardHave(from uint64, b []byte, out toolkit.Out) {
	h := have{member: from}
	var alone uint64
	if _, ok := numbers(b, &h.promise, &h.epoch, &h.position, &alone); !ok || m.disk == nil || m.disk.running {
		return
	}
	h.alone = alone == 1
	m.disk.haves = append(slices.DeleteFunc(m.disk.haves, func(k have) bool { return k.member == from }), h)
	m.step(out)
}

func (m *machine) heardPromised(from uint64, b []byte, out toolkit.Out) {
	var epoch uint64
	if _, ok := numbers(b, &epoch); !ok || m.disk == nil {
		return
	}
	for i := range m.disk.haves {
		if h := &m.disk.haves[i]; h.member == from {
			h.promised = epoch
		}
	}
	m.step(out)
}

// step does what is next on the way to a running group.
func (m *machine) step(out toolkit.Out) {
	d := m.disk
	if d.running || !d.enough(d.haves) {
		return
	}
	for _, h := range d.haves {
		if epoch := max(h.promise, h.epoch) + 1; epoch > d.electing {
			d.electing, d.seeder, d.seed = epoch, 0, nil
		}
	}
	if d.promising < d.electing && slices.ContainsFunc(d.haves, func(h have) bool { return h.member == m.self }) {
		d.promising = d.electing
		d.add(job{promise: d.electing})
	}
	var ready []have
	for _, h := range d.haves {
		if h.promised == d.electing {
			ready = append(ready, h)
		}
	}
	if d.seeder != 0 || !d.enough(ready) {
		return
	}
	best := ready[0]
	for _, h := range ready[1:] {
		if h.epoch > best.epoch || h.epoch == best.epoch && h.position > best.position {
			best = h
		}
	}
	d.seeder, d.seed = best.member, nil
	if best.member == m.self {
		m.sendSeed(out)
	}
}

// enough tells whether these are so many disks that one of them has whatever has been
// acknowledged. One that has never been in a running group may stand for one that was lost.
func (d *disk) enough(list []have) bool {
	used := 0
	for _, h := range list {
		if h.alone {
			return true
		}
		if h.epoch > 0 {
			used++
		}
	}
	return used >= majority(d.cfg.Disks) || len(list) >= d.cfg.Disks
}

// sendSeed sends the state to all.
func (m *machine) sendSeed(out toolkit.Out) {
	state, err := m.bytes()
	if err != nil {
		panic(fmt.Sprintf("rsm: the application gives no state: %v", err)) // the group cannot begin without
	}
	for last := false; !last; {
		n := min(len(state), chunk)
		last = n == len(state)
		flag := uint64(0)
		if last {
			flag = 1
		}
		out.Send(m.level, append(appendNumbers(nil, tagSeed, m.disk.electing, flag), state[:n]...))
		state = state[n:]
	}
}

func (m *machine) heardSeed(from uint64, b []byte, out toolkit.Out) {
	var epoch, last uint64
	part, ok := numbers(b, &epoch, &last)
	d := m.disk
	if !ok || d == nil || d.running || from != d.seeder || epoch != d.electing || uint64(len(d.seed)+len(part)) > maxSeed {
		return
	}
	d.seed = append(d.seed, part...)
	if last == 0 {
		return
	}
	if err := m.take(bufio.NewReader(bytes.NewReader(d.seed))); err != nil {
		panic(fmt.Sprintf("rsm: a state that one copy of the application gave is refused by another: %v", err))
	}
	d.haves, d.seed, d.seeder = nil, nil, 0
	d.running, d.epoch = true, epoch
	d.promised, d.promising = max(d.promised, epoch), max(d.promising, epoch)
	d.fresh = d.surplus // its disk has what it should only when it is counted: see diskView
	m.rebase()
	m.report(out)
}

// appendGroup writes what those who join have to know of the disks.
func (d *disk) appendGroup(b []byte) []byte {
	list := []uint64{0, d.epoch, d.electing, d.seeder, uint64(len(d.haves)), uint64(len(d.seed))}
	if d.running {
		list[0] = 1
	}
	for _, h := range d.haves {
		alone := uint64(0)
		if h.alone {
			alone = 1
		}
		list = append(list, h.member, h.promise, h.epoch, h.position, h.promised, alone)
	}
	for _, k := range list {
		b = binary.LittleEndian.AppendUint64(b, k)
	}
	return append(b, d.seed...)
}

// readGroup takes what appendGroup wrote.
func (d *disk) readGroup(in io.Reader) error {
	var running, epoch, electing, seeder, haves, seed uint64
	if err := readNumbers(in, &running, &epoch, &electing, &seeder, &haves, &seed); err != nil {
		return err
	}
	d.begin()
	d.electing, d.seeder = electing, seeder
	if d.running = running == 1; d.running {
		d.epoch, d.fresh = epoch, true
		d.promised, d.promising = max(d.promised, epoch), max(d.promising, epoch)
	}
	for range haves {
		var h have
		var alone uint64
		if err := readNumbers(in, &h.member, &h.promise, &h.epoch, &h.position, &h.promised, &alone); err != nil {
			return err
		}
		h.alone = alone == 1
		d.haves = append(d.haves, h)
	}
	if seed > maxSeed {
		return fmt.Errorf("rsm: %d bytes of a state, want at most %d", seed, maxSeed)
	}
	var b bytes.Buffer
	if _, err := io.CopyN(&b, in, int64(seed)); err != nil {
		return err
	}
	d.seed = b.Bytes()
	return nil
}
