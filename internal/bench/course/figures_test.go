package course

import (
	"errors"
	"strings"
	"testing"
	"time"

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

// TestSpeedIsWithoutTheWarmUp: neither messages nor time of it count, and what it lost is lost.
func TestSpeedIsWithoutTheWarmUp(t *testing.T) {
	f := &Figures{Sent: 1000, Members: []member.Measured{
		{Delivered: 1000, Warm: 200, First: 2e9, Last: 3e9, Used: kernel.Usage{User: 4 * time.Millisecond}},
		{Delivered: 900, Warm: 100, First: 1e9, Last: 2e9, Used: kernel.Usage{System: 4 * time.Millisecond}},
	}}
	s, err := f.Speed(1000)
	if err != nil || s.MsgsPerS != 800 || s.CPUUsPerMsg != 10 || s.Lost != 100 {
		t.Errorf("%+v, %v; want 800 messages a second of 10 us, and 100 lost", s, err)
	}
	f.Members[1].Warm = 900
	if _, err := f.Speed(1000); !errors.Is(err, ErrNothing) || !strings.Contains(err.Error(), "member 1 delivered 900 of 1000 messages, all of them in the warm-up") {
		t.Errorf("%v, want ErrNothing: nothing came after the warm-up", err)
	}
	f.Members[1] = member.Measured{Delivered: 1, First: 1e9, Last: 1e9}
	if _, err := f.Speed(1000); !errors.Is(err, ErrNothing) || !strings.Contains(err.Error(), "member 1 delivered 1 of 1000 messages in 0s") {
		t.Errorf("%v, want ErrNothing: one message has no rate", err)
	}
}
