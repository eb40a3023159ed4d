package result

import (
	"fmt"
	"slices"
	"strings"

	"cohort/iomulticast"
	"cohort/tuning"
)

// Notes returns what kept the members' sockets from being as fast as they can be,
// with the commands that change it, each once.
func (r *Run) Notes() []string { return notes(r.Members) }

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
	return notes
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
