package course

import (
	"testing"

	"cohort/internal/bench/kernel"
	"cohort/internal/bench/member"
)

// TestKernelDropsAreOfNamespaces: members that look at one counter do not make it more.
func TestKernelDropsAreOfNamespaces(t *testing.T) {
	drops := func(space uint32, n uint64) member.Measured {
		return member.Measured{KernelDrops: &kernel.Drops{Namespace: space, Datagrams: n}, Dropped: 1}
	}
	if d := Drops(&Figures{Members: []member.Measured{{}}}); d.KernelDropped != nil {
		t.Errorf("nobody told, and that is %d", *d.KernelDropped)
	}
	p := Drops(&Figures{Members: []member.Measured{drops(1, 5), drops(1, 4), drops(2, 10)}}, &Figures{Members: []member.Measured{drops(1, 1)}})
	if p.KernelDropped == nil || *p.KernelDropped != 16 || p.Dropped != 4 {
		t.Errorf("%+v, want 16 and 4 dropped", p)
	}
	apart := &Figures{Members: []member.Measured{drops(1, 5), drops(1, 4)}, hosts: []string{"a", "b"}}
	if p = Drops(apart); *p.KernelDropped != 9 {
		t.Errorf("%d dropped in two hosts' namespaces, want 9", *p.KernelDropped)
	}
}
