package result

import (
	"fmt"
	"slices"
	"strings"

	"cohort/iomulticast"
	"cohort/tuning"
)

// Notes returns what kept the figures from being better: a noisy machine, and what the
// members' sockets lack, with the commands that change it, each once.
func (r *Run) Notes() []string {
	return slices.Concat(r.part(), r.unloaded(), r.unmeasured(), r.versions(), r.noise(), r.drops(), notes(r.Members))
}

// unmeasured says which rows were left out.
func (r *Run) unmeasured() (notes []string) {
	for _, row := range r.Unmeasured {
		notes = append(notes, "left out: "+row)
	}
	return notes
}

// unloaded says of how many runs there are figures of full speed alone.
func (r *Run) unloaded() []string {
	var floods, all int
	for i := range r.Rows {
		all += len(r.Rows[i].Runs)
		for k := range r.Rows[i].Runs {
			if r.Rows[i].Runs[k].Histogram == "" {
				floods++
			}
		}
	}
	if floods == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%d of %s of a row ended before the load: they count for the figures of full speed alone", floods, Things(all, "run"))}
}

// notes returns what kept the members' sockets from being as fast as they can be.
func notes(members []Member) (notes []string) {
	for _, m := range members {
		for _, f := range []*iomulticast.Features{m.Engine, m.Raw} {
			if f == nil {
				continue
			}
			for _, n := range notesOn(f) {
				if !slices.Contains(notes, n) {
					notes = append(notes, n)
				}
			}
		}
	}
	if len(notes) > 0 {
		notes = append(notes, "vsbench doctor says what else this machine could change, and what it would give")
	}
	return notes
}

// noise warns of a noisy machine: rows that were disturbed, even if the whole run was not.
func (r *Run) noise() (notes []string) {
	if r.Noise != nil && r.Noise.Noisy {
		notes = append(notes, "WARNING: noisy machine, these figures may be far off: "+strings.Join(r.Noise.Reasons, "; "))
	}
	var rows int
	for i := range r.Rows {
		if n := r.Rows[i].Noise; n != nil && n.Noisy {
			rows++
		}
	}
	if rows > 0 {
		notes = append(notes, fmt.Sprintf("WARNING: noise disturbed %d of %s: see the last column", rows, Things(len(r.Rows), "row")))
	}
	return notes
}

// drops says where the kernel's two counters of the same thing differ.
func (r *Run) drops() []string {
	var sockets, udp uint64
	known := false
	for i := range r.Rows {
		if n := r.Rows[i].KernelDropped; n != nil {
			known = true
			udp += *n
			sockets += r.Rows[i].Dropped
		}
	}
	if !known || udp == sockets {
		return nil
	}
	return []string{fmt.Sprintf("full receive buffers: the members' sockets have dropped %d packets, all sockets where they meet %d (Udp RcvbufErrors)", sockets, udp)}
}

func notesOn(f *iomulticast.Features) (notes []string) {
	if f.Portable {
		return []string{"this system has no batched system calls: expect a fraction of the throughput"}
	}
	for _, part := range []struct {
		name string
		iomulticast.Feature
	}{{"trains are not sent whole (GSO)", f.GSO}, {"trains are not received whole (GRO)", f.GRO}, {"the kernel does not filter own packets", f.Filter}} {
		if !part.On {
			notes = append(notes, fmt.Sprintf("%s: %s", part.name, part.Why))
		}
	}
	if f.RecvBufferRefused != "" {
		n := "receive buffers: " + f.RecvBufferRefused
		if do := tuning.Advice(*f); len(do) > 0 {
			n += "; as root: " + strings.Join(do, " && ")
		}
		notes = append(notes, n)
	}
	return notes
}
