package tuning

import (
	"slices"
	"testing"

	"cohort/iomulticast"
)

func TestRefused(t *testing.T) {
	on := iomulticast.Feature{On: true}
	off := iomulticast.Feature{Why: "because"}
	for _, c := range []struct {
		name string
		f    iomulticast.Features
		want []string
	}{
		{"all granted", iomulticast.Features{GSO: on, GRO: on, Filter: on}, nil},
		{"not sent whole", iomulticast.Features{GSO: off, GRO: off, Filter: on}, []string{IDTrains}},
		{"not received whole, no filter", iomulticast.Features{GSO: on, GRO: off, Filter: off}, []string{IDTrains, "filter"}},
		{"portable", iomulticast.Features{Portable: true}, []string{"portable"}},
	} {
		var got []string
		for _, f := range Refused(c.f) {
			got = append(got, f.ID)
			if f.Found == "" || f.Expected == "" || f.Why == "" || f.Gain == "" || !f.NeedsAttention() {
				t.Errorf("%s: incomplete: %+v", c.name, f)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
