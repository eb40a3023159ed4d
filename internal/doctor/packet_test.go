//go:build linux

package doctor

import (
	"slices"
	"strings"
	"testing"

	"cohort/batch"
	"cohort/tuning"
)

const secret = 0x1122334455667788

// packets makes a train of the packets of a trial with these numbers.
func packets(t Trial, seqs ...int) *batch.Train {
	train := &batch.Train{Segment: t.Size}
	for _, seq := range seqs {
		p := make([]byte, t.size(seq))
		stamp(p, secret, t.ID, uint32(seq))
		train.Buf = append(train.Buf, p...)
	}
	return train
}

func TestTally(t *testing.T) {
	trial := Trial{ID: 9, Size: 100, Packets: 8, Train: 2}
	mangled := packets(trial, 6)
	mangled.Buf[50] ^= 1
	cut := packets(trial, 7)
	cut.Buf = cut.Buf[:60]
	foreign := packets(Trial{ID: 8, Size: 100, Packets: 8, Train: 2}, 4)
	other := &batch.Train{Buf: make([]byte, 100), Segment: 100}
	beyond := packets(Trial{ID: 9, Size: 100, Packets: 100, Train: 2}, 8)
	c := newCounter(secret, trial)
	for _, train := range []*batch.Train{packets(trial, 0, 1), packets(trial, 4), packets(trial, 2, 3), packets(trial, 2), mangled, cut, foreign, other, beyond, {}} {
		c.take(train)
	}
	if want := (Tally{Received: 5, Duplicated: 1, Reordered: 2, Changed: 3, Trains: 2}); c.Tally != want {
		t.Errorf("%+v, want %+v", c.Tally, want)
	}
}

// Every other train ends with a shorter packet, so that both kinds are tried.
func TestTrainsOfBothKinds(t *testing.T) {
	trial := Trial{Size: 1000, Train: 4}
	var sizes []int
	for seq := range 8 {
		sizes = append(sizes, trial.size(seq))
	}
	if want := []int{1000, 1000, 1000, 1000, 1000, 1000, 1000, 999}; !slices.Equal(sizes, want) {
		t.Errorf("%v, want %v", sizes, want)
	}
}

// good is a path on which all is well.
func good() *Path {
	p := &Path{}
	for _, w := range []Way{{Multicast: true, Out: true}, {Multicast: true}, {Out: true}, {}} {
		w.Sent, w.Tally.Received, w.Wanted, w.Largest, w.TrainPackets, w.TrainTally.Received = 400, 400, 1500, 1500, 1600, 1600
		p.Ways = append(p.Ways, w)
	}
	return p
}

func TestPathFindings(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Path)
		want   []string
		says   string
	}{
		{"well", func(*Path) {}, nil, ""},
		{"not sized", func(p *Path) { p.Ways[1].Largest = 0 }, nil, ""},
		{"no trains", func(p *Path) { p.Ways[1].TrainPackets, p.Ways[1].TrainTally.Received = 0, 0 }, nil, ""},
		{"a few lost", func(p *Path) { p.Ways[0].Tally.Received = 399 }, nil, ""},
		{"no multicast in", func(p *Path) { p.Ways[1] = Way{Multicast: true, Sent: 400} }, []string{"multicast-lost"}, "fan-out"},
		{"nothing out", func(p *Path) { p.Ways[0].Tally.Received, p.Ways[2].Tally.Received = 0, 0 }, []string{"unicast-lost"}, "though TCP does"},
		{"narrow", func(p *Path) { p.Ways[2].Largest = 1400 }, []string{"path-mtu"}, "mtu 1400"},
		{"mangled", func(p *Path) { p.Ways[0].TrainTally.Received = 100 }, []string{"trains-mangled"}, "tx-udp-segmentation off"},
		{"changed", func(p *Path) { p.Ways[3].TrainTally.Changed = 1 }, []string{"trains-mangled"}, "Config.Trains"},
		{"lossy", func(p *Path) { p.Ways[0].Tally.Received, p.Ways[0].TrainTally.Received = 160, 640 }, []string{"loss"}, "240 of 400"},
		{"reordered", func(p *Path) { p.Ways[0].Tally.Reordered = 5 }, []string{"reordering"}, "balance-rr"},
	} {
		p := good()
		c.change(p)
		got := p.Findings()
		if !slices.Equal(ids(got), c.want) {
			t.Errorf("%s: found %v, want %v", c.name, ids(got), c.want)
			continue
		}
		for _, f := range got {
			if text := f.Found + f.Why + strings.Join(f.Commands, "\n"); !strings.Contains(text, c.says) || f.Expected == "" || f.Gain == "" || f.Effect < 1 {
				t.Errorf("%s: %+v, want it to say %q", c.name, f, c.says)
			}
		}
	}
}

// What was measured with trains is said where trains are missing.
func TestFillTrains(t *testing.T) {
	f := []tuning.Finding{{ID: tuning.IDTrains, Severity: tuning.Slow}, {ID: "rx-gro", Severity: tuning.Slow}, {ID: "loss", Severity: tuning.Broken}}
	(&SelfTest{TrainsMBs: 800, PlainMBs: 100}).Fill(f)
	if f[0].ID != "loss" || f[0].Measured || !f[1].Measured || f[2].Effect != 8 || !strings.Contains(f[1].Gain, "8.0 times") {
		t.Errorf("%+v", f)
	}
}
